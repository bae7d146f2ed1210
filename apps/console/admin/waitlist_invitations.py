"""Inviting the next of a line: the plan that is read first, and the dialog that invites exactly those who were in it."""

import functools
import uuid
from collections.abc import Callable
from typing import Any, override

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminSelectWidget

from apps.catalog.models import Product
from apps.console.asking import ask, describe_limit_of, needs_second
from apps.console.dialogs import ReasonDialog
from apps.console.invitation_approvals import ACTION, describe_invited
from apps.console.navigation import viewable
from apps.core.errors import BadInput
from apps.onboarding import invitations
from apps.onboarding.models import WaitlistEntry
from apps.onboarding.waitlist import in_line
from apps.operations.approvals import actor_of

ANY = "any"  # the line of those who wait for no product in particular
PERMISSION = "accounts.allocate_seat"
View = Callable[[HttpRequest], HttpResponse]


def line_choices() -> list[tuple[str, str]]:
    """The lines in which somebody waits, in the order of the catalog."""
    rows = in_line(WaitlistEntry.objects.all()).order_by("product__position", "product_id")
    lines = rows.values_list("product_id", "product__name").distinct()
    return [(str(pk or ANY), name or "Anything") for pk, name in lines]


def line_field() -> forms.ChoiceField:
    return forms.ChoiceField(label="Waits for", widget=UnfoldAdminSelectWidget)


def count_field() -> forms.IntegerField:
    return forms.IntegerField(
        label="How many", min_value=1, max_value=invitations.MOST, initial=5, widget=UnfoldAdminIntegerFieldWidget
    )


class NextForm(forms.Form):
    """What a plan is asked for."""

    line, count = line_field(), count_field()

    @override
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["line"].choices = line_choices()  # type: ignore[attr-defined]


class InviteNextDialog(ReasonDialog):
    """The line, how many of it, and why; below them the plan, which sends along whom it named."""

    form_before_template = "console/dialogs/invite_next.html"
    line, count = line_field(), count_field()
    planned: tuple[uuid.UUID, ...] = ()

    @override
    def prepare(self) -> None:
        self.fields["line"].choices = line_choices()

    @override
    def context(self) -> dict[str, Any]:
        return {"plan_url": reverse("admin:waitlist_plan"), "nobody": not line_choices()}

    @override
    def clean(self) -> Any:
        cleaned = super().clean()
        line, _, rest = str(self.data.get("planned", "")).partition("|")
        count, _, ids = rest.partition("|")
        try:
            self.planned = tuple(uuid.UUID(one) for one in ids.split(",") if one)[: invitations.MOST]
        except ValueError:
            self.add_error("count", "The plan cannot be read. Open the dialog again.")
            return cleaned
        if "line" in cleaned and "count" in cleaned and (line, count) != (cleaned["line"], str(cleaned["count"])):
            self.add_error("count", "This is not what the plan was made for. Read the plan again.")
        elif not self.planned:
            self.add_error("count", "The plan invites nobody.")
        return cleaned


def invite_planned(form: InviteNextDialog) -> str:
    """Invite those of the plan, and say how many and why not the others. Many are asked approval of instead."""
    if needs_second(form, ACTION, len(form.planned)):
        line = form.cleaned_data["line"]
        asked = {"product": None if line == ANY else int(line), "entries": [str(one) for one in form.planned]}
        return ask(form, ACTION, subject=f"waitlist:{line}", terms=asked)
    invited, refusals = invitations.invite_all(form.planned, **form.why)
    if not invited:
        raise BadInput(f"Nobody was invited. {' '.join(sorted(set(refusals)))}")
    return describe_invited(invited, refusals)


def guarded(view: View) -> View:
    """For those who may invite."""

    @functools.wraps(view)
    def answer(request: HttpRequest) -> HttpResponse:
        if not (viewable(WaitlistEntry)(request) and request.user.has_perm(PERMISSION)):
            raise PermissionDenied
        return view(request)

    return answer


@require_safe
def plan(request: HttpRequest) -> HttpResponse:
    """Who would be invited now, who is skipped and why."""
    form, found = NextForm(request.GET), {}
    if form.is_valid():
        line, count = form.cleaned_data["line"], form.cleaned_data["count"]
        product = None if line == ANY else Product.objects.get(pk=line)
        made = invitations.plan_invitations(product, count)
        ids = ",".join(str(entry.pk) for entry in made.invited)
        found = {"plan": made, "planned": f"{line}|{count}|{ids}"}
        found |= describe_limit_of(actor_of(request.user), ACTION, len(made.invited))
    return render(request, "console/dialogs/invite_plan.html", found)


ROUTES: tuple[tuple[str, View, str], ...] = (("waitlist/plan/", guarded(plan), "waitlist_plan"),)
