"""Cancelling here, as easily as signing up: when it ends, what is kept until when, one click; and taking it back until that day.

Promises: nobody changes another person's subscription; a form that is sent twice is done once; each change is in the audit log in
the subscriber's name. A cancellation is the statement that can be made without a login, too (onboarding/contracts.py): it counts at
once, its receipt is an email, and a job carries it out.
"""

import datetime as dt
from dataclasses import dataclass

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from apps.access import facts, terms, what_if
from apps.accounts.models import UserProfile
from apps.billing import overview as money
from apps.billing import payment_changes
from apps.billing.models import Subscription
from apps.catalog.models import Product
from apps.core.dates import day
from apps.core.states import SubscriptionStatus
from apps.dashboard import own_changes
from apps.dashboard.own import own
from apps.onboarding import contract_ends, contracts
from apps.onboarding.contracts import Statement, Wish

only_own = own(page="own-cancel", of_staff="admin:index")


@dataclass(frozen=True)
class Ending:
    """A subscription and its end: of what is canceled, or of what would be. `kept_until`: of data and settings.

    `closes`: the apps that close then; `loses_nothing`: all of it is theirs in another way as well. `is_pending`: it was stated
    here, and Stripe does not know it yet. `withdrawn_at`: when it was withdrawn from, if that is what was stated.
    """

    row: Subscription
    name: str
    ends_at: dt.datetime | None
    kept_until: dt.datetime | None
    closes: tuple[str, ...] = ()
    loses_nothing: bool = False
    is_pending: bool = False
    withdrawn_at: dt.datetime | None = None

    @property
    def is_canceled(self) -> bool:
        """Whether it is to end."""
        return self.is_pending or self.row.cancel_at is not None

    @property
    def is_late(self) -> bool:
        """Whether something of it is still to be paid."""
        return SubscriptionStatus(self.row.status).is_late


def read_endings(profile: UserProfile) -> list[Ending]:
    """The subscriber's running subscriptions, in as many queries as one of them takes."""
    rows = money.list_running(profile.stripe_customer_id or "")
    book = terms.read_terms(profile.pk) if rows else None
    known = facts.read_facts(profile) if rows else None
    pending = contracts.find_pending(profile) if rows else {}
    apps = Product.objects.filter(is_app=True).order_by("position", "name") if rows else ()
    names = {one.slug: one.name for one in apps}
    found = []
    for row in rows:
        stated = pending.get(row.stripe_id)
        withdrawn_at = stated.at if stated and stated.wish == Wish.WITHDRAW else None
        ends = contract_ends.end_of(row, stated)
        lines = money.lines_of(row)
        products = [line.product_id for line in lines]
        kept = ends + book.kept_for(products, profile.pk) if ends and book else None
        name = ", ".join(
            money.line_name(one.quantity, one.product.name if one.product else None, _("Other")) for one in lines
        )
        loss = what_if.foresee_loss(known, row.stripe_id, ends_at=ends) if known and ends else None
        closes = tuple(title for slug, title in names.items() if loss and slug in loss.apps)
        loses_nothing = loss is not None and not loss.is_any
        is_pending = stated is not None
        found.append(Ending(row, name, ends, kept, closes, loses_nothing, is_pending, withdrawn_at))
    return found


@require_safe
@only_own
def page(request: HttpRequest, profile: UserProfile) -> HttpResponse:
    """What cancelling means, and the button; for what is canceled already, the way back."""
    context = {
        "profile": profile,
        "endings": read_endings(profile),
        "reasons": [(code, _(words)) for code, words in payment_changes.FEEDBACK.items()],
        "key": own_changes.new_key(),
    }
    return render(request, "dashboard/cancel.html", context)


@require_POST
@only_own
def confirm(request: HttpRequest, profile: UserProfile) -> HttpResponse:
    """Cancel one of the subscriber's own subscriptions at the end of what is paid."""
    said = request.POST.get("feedback", "")
    feedback = said if said in payment_changes.FEEDBACK else ""
    wanted = request.POST.get("subscription", "")
    made: list[Statement] = []
    if not own_changes.carry_out(
        request, profile, lambda: made.append(contracts.state(profile, wanted, Wish.CANCEL, feedback=feedback))
    ):
        return redirect("own-cancel")
    ends_on = made[0].ends_on
    when = _("Your subscription ends on {day}.").format(day=day(ends_on)) if ends_on else _("Your subscription ends.")
    rest = _("You won't be charged again. We're emailing you a receipt.")
    messages.success(request, f"{when} {rest}")
    return redirect("dashboard")


@require_POST
@only_own
def undo(request: HttpRequest, profile: UserProfile) -> HttpResponse:
    """Let one of the subscriber's own subscriptions go on that is to end."""
    wanted = request.POST.get("subscription", "")
    if wanted not in {one.stripe_id for one in money.list_running(profile.stripe_customer_id or "")}:
        messages.error(request, _(contracts.NOT_RUNNING))
        return redirect("own-cancel")
    asked = own_changes.request_by(profile, request.POST.get("key", ""))
    if own_changes.carry_out(request, profile, lambda: contracts.take_back(asked, wanted)):
        messages.success(request, _("Welcome back. Your subscription goes on as before."))
    return redirect("dashboard")
