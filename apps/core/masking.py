"""Personal data masked for those who may not see it, where it is read: d…@example.com, D. L., •••.

Promises: inside `masked()` every column for which `declare` names a mask is masked, on each way by which the ORM reads it, rows and
single values alike, so a page that is added later shows nothing either. What SQL reads by itself goes through `mask`.
A masked text still compares with others, and is sent to the database, as the one it stands for: pages decide and look up as ever.
"""

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, override

import psycopg
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model
from django.db.models.fields.json import KeyTransform
from psycopg.adapt import Dumper

from apps.core.logs import ADDRESS

HIDDEN = "•••"
NETWORK = re.compile(
    r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.])|(?<![\w:])(?:[0-9a-fA-F]{1,4}:){3,7}[0-9a-fA-F]{1,4}(?![\w:])"
)
PHONE = re.compile(r"(?<!\w)\+\d[\d ()/-]{6,}\d")
PARTS = ("icontains", "contains", "istartswith", "startswith", "iexact", "exact")  # look-ups of texts
_is_masked: ContextVar[bool] = ContextVar("is_masked", default=False)


class Masked(str):
    """What is shown instead of `original`."""

    __slots__ = ("original",)
    original: str

    def __new__(cls, shown: str, original: str) -> "Masked":
        made = super().__new__(cls, shown)
        made.original = original
        return made

    def change(self, how: Callable[[str], str]) -> "Masked":
        """Both texts, each changed."""
        return Masked(how(str(self)), how(self.original))

    @override
    def lower(self) -> "Masked":
        return self.change(str.lower)

    @override
    def upper(self) -> "Masked":
        return self.change(str.upper)

    @override
    def strip(self, chars: str | None = None, /) -> "Masked":
        return self.change(lambda text: text.strip(chars))

    @override
    def __eq__(self, other: object) -> bool:
        return self.original == (other.original if isinstance(other, Masked) else other)

    @override
    def __ne__(self, other: object) -> bool:
        return not self == other

    @override
    def __hash__(self) -> int:
        return hash(self.original)

    @override
    def __reduce__(self) -> tuple[Any, ...]:
        """What is kept elsewhere, as in a cache, keeps the mask alone."""
        return str, (str(self),)


class OriginalDumper(Dumper):
    """To the database a masked text is the one it stands for: so it is found, and never overwritten by its mask."""

    @override
    def dump(self, obj: Any) -> bytes:
        return str(obj.original).encode()


psycopg.adapters.register_dumper(Masked, OriginalDumper)


# --- who sees what -----------------------------------------------------------------------------------------------------


def is_masked() -> bool:
    """Whether what is read now is for somebody who may not see personal data."""
    return _is_masked.get()


@contextmanager
def masked(*, wanted: bool = True) -> Iterator[None]:
    """What is read inside is masked, if that is `wanted`."""
    before = _is_masked.set(wanted)
    try:
        yield
    finally:
        _is_masked.reset(before)


def unmasked() -> Any:
    """For what is nobody's secret, such as the names of staff, and for what is masked when it is shown."""
    return masked(wanted=False)


# --- masks -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mask:
    """How a column is shown. `by_whole`: a row may still be found by the whole value, as by an address somebody was told."""

    show: Callable[[str], str]
    by_whole: bool = False
    by_key: bool = False  # values of JSON are masked by what their keys say


def _email(text: str) -> str:
    name, at, domain = text.rpartition("@")
    return f"{name[:1]}…@{domain}" if at else f"{text[:1]}…"


def _initials(text: str) -> str:
    return " ".join(f"{word[:1]}." for word in text.split())


def _in_text(text: str) -> str:
    """A sentence without the addresses and numbers in it."""
    text = ADDRESS.sub(lambda found: _email(found[0].replace("%40", "@")), text)
    return PHONE.sub(HIDDEN, NETWORK.sub(HIDDEN, text))


EMAIL = Mask(_email, by_whole=True)
USERNAME = Mask(lambda text: f"{text[:1]}…", by_whole=True)
NAME = Mask(_initials)
FREE_TEXT = Mask(lambda _text: HIDDEN)  # nobody knows what is in it
SENTENCES = Mask(_in_text)  # our own words, and what other systems answer
RECORD = Mask(_in_text, by_key=True)  # a person's, as another system keeps it
# Of a record: parts of the names of keys, and the mask of what they hold.
KEYS: tuple[tuple[re.Pattern[str], Mask], ...] = (
    (re.compile(r"email"), EMAIL),
    (re.compile(r"username$|^login$"), USERNAME),
    (re.compile(r"^name$|_name$|^nickname$|^full_?name$"), NAME),
    (re.compile(r"phone|last4$|iban|fingerprint|^ip(_address)?$|user_agent|^description$|^note|_url$|^url$|_pdf$|^tax_id|^birth"), FREE_TEXT),
    (re.compile(r"address$|^shipping|^line[12]$|^city$|^postal_code$|^(evidence|custom_fields|client_secret)$"), FREE_TEXT),
)  # fmt: skip
KEPT_KEYS = {"country", "id", "object"}  # of what is hidden


def mask(one: Mask, value: Any) -> Any:
    """The value as it is shown now."""
    return _mask(one, value) if is_masked() else value


def _mask(one: Mask, value: Any, *, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: item if name in KEPT_KEYS and isinstance(item, str) else _mask(_below(one, str(name)), item) for name, item in value.items()}  # fmt: skip
    if isinstance(value, list):
        return [_mask(one, item) for item in value]
    if isinstance(value, int | float) and not isinstance(value, bool) and one is FREE_TEXT:
        return HIDDEN
    if not isinstance(value, str) or not value:
        return value
    shown = (_below(one, key) if key else one).show(value)
    return Masked(shown, value) if shown != value else value


def _below(one: Mask, key: str) -> Mask:
    if not one.by_key:
        return one
    return next((mask for words, mask in KEYS if words.search(key.lower())), one)


# --- columns -----------------------------------------------------------------------------------------------------------


def declare(model: type[Model], masks: Mapping[str, Mask]) -> None:
    """From now on these columns are read masked, wherever that is asked for."""
    for name, one in masks.items():
        field: Any = model._meta.get_field(name)
        field.personal_mask = one
        field.get_db_converters = functools.partial(_converters, field, one, type(field))


def _converters(field: Any, one: Mask, kind: type[Any], connection: Any) -> list[Callable[..., Any]]:
    """Django's own, and the mask behind them."""
    found: list[Callable[..., Any]] = kind.get_db_converters(field, connection)
    return [*found, functools.partial(_convert, one)] if is_masked() else found


def _convert(one: Mask, value: Any, expression: Any, _connection: Any) -> Any:
    key = str(expression.key_name) if isinstance(expression, KeyTransform) else ""
    return _mask(one, value, key=key)


def mask_of(model: Any, path: str) -> Mask | None:
    """The mask of the column that a path such as profile__user__email leads to."""
    try:
        *joins, name = path.split("__")
        for join in joins:
            model = model._meta.get_field(join).related_model
        found: Mask | None = getattr(model._meta.get_field(name), "personal_mask", None)
    except (FieldDoesNotExist, AttributeError):
        return None
    return found


def mask_row(model: type[Model], values: dict[str, Any]) -> dict[str, Any]:
    """Columns of one row that SQL has read as JSON, each as it is shown now."""
    if not is_masked():
        return values
    return {name: _mask(one, value) if (one := mask_of(model, name)) else value for name, value in values.items()}


def narrow_lookup(model: type[Model], lookup: str) -> str:
    """A look-up as it may be asked now: masked columns by the whole value or, empty, not at all. By parts they could be guessed."""
    path, _, how = lookup.rpartition("__")
    path, how = (path, how) if how in PARTS and path else (lookup, "exact")
    one = mask_of(model, path) if is_masked() else None
    if one is None:
        return lookup
    return f"{path}__iexact" if one.by_whole else ""
