"""Form fields of the console: a reason, a list as lines of text."""

from typing import Any, override

from django import forms
from unfold.widgets import UnfoldAdminTextareaWidget

from apps.console.dialogs import REASON_LENGTH


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
