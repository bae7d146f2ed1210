"""Form fields of the console: a reason, a list as lines of text, numbers as lines of text."""

import re
from typing import Any, override

from django import forms
from unfold.widgets import UnfoldAdminTextareaWidget

from apps.console.dialogs import REASON_LENGTH

NUMBER_LINE = re.compile(r"^([a-z][a-z0-9_]{0,39})\s*=\s*(\d{1,9})$")


class ReasonField(forms.CharField):
    """Why something is changed, for the timeline."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            **{
                "min_length": REASON_LENGTH,
                "max_length": 300,
                "help_text": "At least ten characters. It is kept in the timeline.",
                "widget": UnfoldAdminTextareaWidget(attrs={"rows": 2}),
                **kwargs,
            }
        )


class LinesField(forms.CharField):
    """A list of texts, one on each line."""

    widget = UnfoldAdminTextareaWidget(attrs={"rows": 5})

    @override
    def prepare_value(self, value: Any) -> Any:
        return "\n".join(str(line) for line in value) if isinstance(value, list) else value

    @override
    def clean(self, value: Any) -> Any:
        lines = [line.strip() for line in super().clean(value).splitlines() if line.strip()]
        if len(lines) > 20 or any(len(line) > 120 for line in lines):
            raise forms.ValidationError("At most 20 lines of at most 120 characters.")
        return lines

    @override
    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(self.clean(data) != (initial or []))
        except forms.ValidationError:
            return True


class NumbersField(forms.CharField):
    """Names and whole numbers, `name = 100` on each line."""

    widget = UnfoldAdminTextareaWidget(attrs={"rows": 3})

    @override
    def prepare_value(self, value: Any) -> Any:
        return "\n".join(f"{name} = {amount}" for name, amount in value.items()) if isinstance(value, dict) else value

    @override
    def clean(self, value: Any) -> Any:
        found: dict[str, int] = {}
        for line in filter(None, (line.strip() for line in super().clean(value).splitlines())):
            match = NUMBER_LINE.match(line)
            if match is None or match[1] in found:
                raise forms.ValidationError(f"“{line[:60]}” is not of the form name = 100, or is there twice.")
            found[match[1]] = int(match[2])
        return found

    @override
    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(self.clean(data) != (initial or {}))
        except forms.ValidationError:
            return True
