"""The last backup and restore drill of each database. Written by config/backup/frontdesk-backup and core/backups.py."""

from typing import Any, ClassVar, override

from django.db import models


class Backup(models.Model):
    """How the last backup of one database went, or the last restore drill, and when the next is due."""

    class Kind(models.TextChoices):
        BACKUP = "backup", "Backup"
        DRILL = "drill", "Restore drill"

    kind = models.CharField(max_length=8, choices=Kind)
    database = models.CharField(max_length=32, help_text="frontdesk or keycloak")
    first_at = models.DateTimeField(help_text="Since when there has to be one.")
    succeeded_at = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField(help_text="By then the next one must have succeeded.")
    file = models.CharField(max_length=100, blank=True, help_text="The backup that was made or restored.")
    bytes = models.PositiveBigIntegerField(default=0)
    failed_at = models.DateTimeField(null=True, blank=True, help_text="Set while the last try is one that failed.")
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(fields=["kind", "database"], name="backup_one_of_each_kind")
        ]

    @override
    def __str__(self) -> str:
        return f"{self.kind} of {self.database}"
