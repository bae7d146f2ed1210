"""The catalog's forms as a browser sends them: what was shown, with changes; and the steps of a save."""

from typing import Any

from django.db.models import Model
from django.test import Client
from django.urls import reverse

REASON = "The offer changes this spring"


def page_of(row: Any) -> str:
    """The address of a row's form; of a model, the form that adds one."""
    name = f"admin:{row._meta.app_label}_{row._meta.model_name}"
    return reverse(f"{name}_change", args=[row.pk]) if isinstance(row, Model) else reverse(f"{name}_add")


def shown(client: Client, row: Any) -> dict[str, Any]:
    """All that the form would send if nothing were changed."""
    answer = client.get(page_of(row))
    assert answer.status_code == 200
    data: dict[str, Any] = {"version": answer.context["version"], "reason": REASON}
    for field in answer.context["adminform"].form:
        value = field.value()
        if field.name == "grants":
            data |= {"grants_name": [*(value or {})], "grants_amount": [str(one) for one in (value or {}).values()]}
        elif isinstance(value, bool):
            data |= {field.name: "on"} if value else {}
        elif isinstance(value, list | tuple):
            data[field.name] = [getattr(one, "pk", one) for one in value]
        elif field.name == "includes":
            data[field.name] = []
        elif field.name != "reason":
            data[field.name] = "" if value is None else value
    return data


def save(client: Client, row: Any, **changes: Any) -> Any:
    """CatalogChange and save: the answer is a redirect when it was saved, else a page."""
    data = shown(client, row) | changes
    return client.post(page_of(row), {name: value for name, value in data.items() if value is not None})


def confirm(client: Client, preview: Any, **changes: Any) -> Any:
    """Send what the preview page holds, with its button; `_confirm=None` leaves the button out."""
    context = preview.context
    assert "hidden" in context, "not a preview"
    data: dict[str, Any] = {}
    for name, value in context["hidden"]:
        data.setdefault(name, []).append(value)
    data |= {"version": context["version"], "reason": context["reason"], "_confirm": "1"} | changes
    return client.post(preview.request["PATH_INFO"], {name: value for name, value in data.items() if value is not None})
