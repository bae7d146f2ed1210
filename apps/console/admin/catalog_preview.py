"""Saving the catalog: what it would do to people is shown first, and done only when that was seen.

How: the row is saved, the effect is computed from the catalog as it then is, and unless that was confirmed the
transaction is rolled back and the preview shown. So the preview and the deed are the same code on the same data.
Promises: a save that touches nobody needs one step; one that does needs two; one that takes from many needs the slug typed;
a row or a catalog that has changed in the meantime is shown again; each save is one audit entry; those who hold what changed
are synced, queued in the same transaction.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, override

from django.contrib import messages
from django.db import IntegrityError, models
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse

from apps.accounts.models import UserProfile
from apps.billing import prices
from apps.catalog.models import Product, ProductPrice
from apps.catalog.product_entitlements import entitlements_by_product
from apps.console.base import ConsoleAdmin
from apps.console.columns import link
from apps.core import audit
from apps.core.audit_actions import AuditAction
from apps.operations import impact
from apps.operations.impact import CatalogChange, CatalogImpact, EntitlementsByProduct

OURS = ("csrfmiddlewaretoken", "version", "reason", "typed", "_confirm", "_edit")  # fields of the preview itself
NAMED = 20  # of those who leave a shared subscription
State = dict[str, Any]


@dataclass(frozen=True)
class Before:
    """The row and the catalog as they were when saving began."""

    state: State
    catalog: EntitlementsByProduct

    @property
    def version(self) -> str:
        """A name for this state of the row."""
        return digest(self.state)

    @property
    def seen(self) -> str:
        """A name for this state of the row and of everything that is given to anybody."""
        given = {
            pk: (sorted(one.apps), sorted(one.seats), dict(one.grants), one.people) for pk, one in self.catalog.items()
        }
        return f"{self.version}:{digest(given)}"


class Unconfirmed(Exception):
    """Not saved: this is what it would do. `problem` is what is wrong with the confirmation that was given, if any."""

    def __init__(self, form: Any, before: Before, after: State, found: CatalogImpact, problem: str) -> None:
        super().__init__("not confirmed")
        self.form, self.before, self.after, self.found, self.problem = form, before, after, found, problem


def state_of(row: models.Model | None) -> State:
    """A row as the timeline keeps it: other rows by their slugs, the rest as it is."""
    if row is None:
        return {}
    columns = [column for column in row._meta.concrete_fields if column.editable and not column.primary_key]
    state = {column.name: _value(getattr(row, column.name)) for column in columns}
    return state | {
        one.name: sorted(_value(each) for each in getattr(row, one.name).all()) for one in row._meta.many_to_many
    }


def _value(value: Any) -> Any:
    return getattr(value, "slug", value)


def digest(value: Any) -> str:
    """A short name for a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:32]


def differing(before: State, after: State) -> tuple[State, State]:
    """Both, with only what is not the same."""
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return ({name: before[name] for name in names if name in before}, {name: after[name] for name in names})


class PreviewedAdmin(ConsoleAdmin):
    """Base of products and prices: editable by staff who may change the catalog, with the preview in between."""

    subject = ""
    few = True
    change_form_before_template = "console/catalog_version.html"

    @override
    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(self.has_change_catalog_permission(request))

    @override
    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(self.has_change_catalog_permission(request))

    @override
    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        """The form; or, after a POST that would change what people have, what it would do."""
        row = self.get_object(request, object_id) if object_id and request.method != "POST" else None
        version = request.POST.get("version", "") if request.method == "POST" else digest(state_of(row))
        extra = (extra_context or {}) | {"version": version}
        try:
            return super().changeform_view(request, object_id, form_url, extra)
        except Unconfirmed as asked:
            return self.preview(request, object_id, asked)
        except IntegrityError:
            messages.error(
                request,
                "Somebody else saved at the same moment, and your change was not saved. Check the page, then try again.",
            )
            return HttpResponseRedirect(request.get_full_path())

    @override
    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save after reading the old state; one person at a time changes the catalog."""
        list(Product.objects.select_for_update(no_key=True).order_by("pk").values_list("pk", flat=True))
        row = type(obj).objects.get(pk=obj.pk) if change else None
        form.before = Before(state_of(row), entitlements_by_product())
        super().save_model(request, obj, form, change)

    @override
    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """What it does is known only now. Unconfirmed: it is taken back and shown."""
        super().save_related(request, form, formsets, change)
        row, before = form.instance, form.before
        row.refresh_from_db()
        after = state_of(row)
        mapped = self.mapped(row, before.state)
        found = impact.measure_impact(CatalogChange(before.catalog, entitlements_by_product(), mapped))
        problem = problem_of(request.POST, before, found, str(getattr(row, "product", row).slug))
        if problem is not None:
            raise Unconfirmed(form, before, after, found, problem)
        reason, actor = form.cleaned_data["reason"], f"staff:{request.user.get_username()}"
        old, new = differing(before.state, after)
        audit.record(
            subject=(self.subject, row.pk), action=AuditAction(f"{self.subject}_{'changed' if change else 'created'}"), actor=actor,
            reason=reason, before=old, after=new | ({"holders": len(found.holders)} if found.holders else {}),
        )  # fmt: skip
        asked = carry_out(row, found, mapped)
        if asked:
            messages.info(
                request, f"{people(asked)} being synced: within minutes everyone has what they are entitled to."
            )

    def mapped(self, _row: Any, _before: State) -> Mapping[str, int]:
        """The prices that are mapped to another product afterwards."""
        return {}

    def preview(self, request: HttpRequest, object_id: str | None, asked: Unconfirmed) -> HttpResponse:
        """The page that says what would happen. Nothing has been saved."""
        old, new = differing(asked.before.state, asked.after)
        names = {one.slug: one.name for one in Product.objects.all()}
        row = asked.form.instance
        context = self.admin_site.each_context(request) | {
            "title": f"Change {self.opts.verbose_name}" if object_id else f"Add {self.opts.verbose_name}",
            "subtitle": str(row),
            "original": row if object_id else None,
            "opts": self.opts,
            "found": asked.found,
            "apps": [(names.get(line.name, line.name), line) for line in asked.found.apps],
            "rooms": [(names.get(room.app, room.app), room) for room in asked.found.rooms],
            "leaving": [link(one) for one in _read_people(asked.found.leaving[:NAMED])],
            "changes": [(_label(asked.form, name), _text(old.get(name)), _text(new[name])) for name in new],
            "version": asked.before.seen,
            "problem": asked.problem,
            "slug": str(getattr(row, "product", row).slug),
            "reason": asked.form.cleaned_data["reason"],
            "hidden": [(name, value) for name, values in request.POST.lists() if name not in OURS for value in values],
        }
        return TemplateResponse(request, "console/catalog_preview.html", context)


def problem_of(data: Any, before: Before, found: CatalogImpact, slug: str) -> str | None:
    """Why this may not be saved yet, as a sentence, empty when nothing is wrong but has to be seen; None: it may."""
    seen, confirmed = data.get("version", ""), "_confirm" in data
    if seen and not before.seen.startswith(seen):
        return "Somebody else changed this in the meantime. Please check again: this is what your change would do now."
    if not found.holders:
        return None
    if not confirmed or seen != before.seen:
        return ""
    if found.many and data.get("typed", "").strip() != slug:
        return f"To take something from {found.lose} people, type “{slug}”."
    return None


def carry_out(row: Product | ProductPrice, found: CatalogImpact, mapped: Mapping[str, int]) -> int:
    """Everything that follows from a saved row; returns how many subscribers are synced. Part of the caller's transaction."""
    for price_id in mapped:
        prices.map_price(price_id, Product.objects.get(pk=mapped[price_id]))
    impact.reconcile_holders(found.holders, reason=f"{row} changed")
    return len(found.holders)


def _read_people(profile_ids: Collection[int]) -> Iterable[UserProfile]:
    return UserProfile.objects.filter(pk__in=profile_ids).select_related("user").order_by("pk")


def people(number: int) -> str:
    """1 person is, 3 people are."""
    return "1 person is" if number == 1 else f"{number} people are"


def _label(form: Any, name: str) -> str:
    """What the form calls it."""
    label = form.fields[name].label if name in form.fields else ""
    return str(label or name.replace("_", " ")).capitalize()


def _text(value: Any) -> str:
    """A value for a person."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        value = [f"{name} {amount}" for name, amount in sorted(value.items())]
    if isinstance(value, list):
        value = ", ".join(str(one) for one in value)
    return str(value) if value not in (None, "") else "nothing"
