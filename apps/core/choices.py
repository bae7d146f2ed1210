"""Choices of a column that also say how urgent each value is for staff."""

from typing import Self

from django.db import models

from apps.core.states import Tone


class ToneChoices(models.TextChoices):
    """Members are written `NAME = value, tone, label`."""

    tone: Tone

    def __new__(cls, value: str, tone: Tone = Tone.CALM) -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.tone = tone
        return member
