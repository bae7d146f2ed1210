"""How rows about a person go: an app beside operations names its own here, with the words of the receipt."""

from collections.abc import Callable

from apps.accounts.models import UserProfile

ERASERS: dict[str, Callable[[UserProfile], int]] = {}  # each returns how many rows it deleted
