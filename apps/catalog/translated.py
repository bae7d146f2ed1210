"""Columns whose text has another column beside it for each further language: `name` and `name_de`.

Reading `product.name` gives the text in the reader's language, or the English one where there is no other. Staff pages and jobs are
English (core/languages.py), so there it is the column itself, and so it is whenever a row is saved or shown in a form.
"""

from collections.abc import Mapping
from typing import Any, override

from django.db import models
from django.db.models.query_utils import DeferredAttribute

from apps.core import languages

LANGUAGES = tuple(code for code in languages.NAMES if code != languages.DEFAULT)


def column_for(name: str, code: str) -> str:
    """The column that holds `name` in a language."""
    return name if code == languages.DEFAULT else f"{name}_{code}"


def text_of(row: Mapping[str, Any], name: str) -> Any:
    """The same of a row that was read with SQL, with its columns in all languages."""
    return row.get(column_for(name, languages.active())) or row[name]


class InReadersLanguage(DeferredAttribute):
    """The text of a row in the language that is active."""

    @override
    def __get__(self, instance: Any, cls: Any = None) -> Any:
        own = super().__get__(instance, cls)
        code = languages.active()
        if instance is None or code == languages.DEFAULT:
            return own
        return getattr(instance, column_for(self.field.attname, code)) or own

    def __set__(self, instance: Any, value: Any) -> None:
        instance.__dict__[self.field.attname] = value


class Translated(models.Field):  # type: ignore[type-arg]
    """Base of both kinds of column; in migrations they are the plain ones."""

    descriptor_class = InReadersLanguage

    @override
    def pre_save(self, model_instance: Any, add: bool) -> Any:
        with languages.speaking(languages.DEFAULT):
            return super().pre_save(model_instance, add)

    @override
    def value_from_object(self, obj: Any) -> Any:
        with languages.speaking(languages.DEFAULT):
            return super().value_from_object(obj)


class TranslatedText(Translated, models.CharField):  # type: ignore[type-arg]
    """A text."""

    @override
    def deconstruct(self) -> Any:
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.CharField", args, kwargs


class TranslatedLines(Translated, models.JSONField):
    """A list of texts."""

    @override
    def deconstruct(self) -> Any:
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.JSONField", args, kwargs
