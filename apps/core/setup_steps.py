"""What one step of `manage.py setup` came to, in words."""

from dataclasses import dataclass, field
from enum import Enum


class Outcome(Enum):
    """How a step ended; the mark before its line."""

    MADE = "made"
    KEPT = "kept"
    TO_DO = "to do"
    FAILED = "failed"


@dataclass(frozen=True)
class Step:
    """One thing that has to be set up. `sentence`: what was made, or what to do; `values`: variables that came out of it."""

    outcome: Outcome
    sentence: str
    values: dict[str, str] = field(default_factory=dict)
