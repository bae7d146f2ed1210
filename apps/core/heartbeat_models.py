"""The signs of life of workers, a row for each of their parts."""

from typing import override

from django.db import models


class Heartbeat(models.Model):
    """The last heartbeat of one part of a worker, in the system's own time; written by `core.heartbeats`."""

    name = models.CharField(max_length=120, primary_key=True)
    at = models.DateTimeField()
    since = models.DateTimeField(null=True, help_text="The first one.")

    @override
    def __str__(self) -> str:
        return self.name
