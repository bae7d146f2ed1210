"""Who shares a subscription: the payer invites and removes people, and somebody who is paid for leaves.

Promises: nobody sees or ends another one's membership; inviting answers the same whether or not an address is known.
"""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.views.decorators.http import require_POST, require_safe

from apps.access import memberships
from apps.accounts.models import Membership, UserProfile
from apps.core import audit
from apps.core.addresses import shown_email
from apps.core.errors import BadInput
from apps.core.requests import row_number, storable
from apps.dashboard.overview import SHOWN
from apps.dashboard.own import own
from apps.onboarding import people

REASON = "on the dashboard"
OVER = gettext_noop("That was over already.")
only_own = own(page="own-people", of_staff="admin:index")


@require_safe
@only_own
def page(request: HttpRequest, profile: UserProfile) -> HttpResponse:
    """Who shares the subscription and how many more can, or who pays."""
    return _page(request, profile, {})


def _page(request: HttpRequest, profile: UserProfile, context: dict[str, Any], status: int = 200) -> HttpResponse:
    found = memberships.open_people(profile.pk).select_related("member__user")
    rows = [
        {
            "row": one,
            "name": memberships.name_of(one.member) if one.member else shown_email(one.email),
            "until": people.ends_at(one),
        }
        for one in found
    ]
    lines = profile.items.filter(product__isnull=False, quantity__gt=0, subscription__status__in=SHOWN)
    context |= {
        "profile": profile,
        "count": memberships.count_people(profile),
        "rows": rows,
        "payer": memberships.find_payer(profile),
        "sold_by_people": any(one.product.is_sold_by_people for one in lines.select_related("product") if one.product),
    }
    return render(request, "dashboard/people.html", context, status=status)


@require_POST
@only_own
def invite(request: HttpRequest, profile: UserProfile) -> HttpResponse:
    """Email an invitation; sent again to the same address, the former link ends."""
    typed = storable(request.POST.get("email", ""))
    try:
        row = people.invite(profile, email=typed)
    except BadInput as refusal:
        return _page(request, profile, {"problem": refusal, "email": typed}, refusal.status)
    told = _("We're emailing an invitation to {address}.").format(address=shown_email(row.email))
    messages.success(request, told)
    return redirect("own-people")


@require_POST
@only_own
def end(request: HttpRequest, profile: UserProfile) -> HttpResponse:
    """Withdraw an invitation, or remove somebody who has joined."""
    known = row_number(request.POST.get("membership", ""))
    row = Membership.objects.select_related("member__user").filter(payer=profile, ended_at=None, pk=known).first()
    how = Membership.End.REMOVED if row is not None and row.accepted_at else Membership.End.WITHDRAWN
    if row is None or not memberships.end(row, how, actor=audit.CUSTOMER, reason=REASON):
        messages.info(request, _(OVER))
    elif row.member is not None:
        told = _("{name} no longer shares your subscription.").format(name=memberships.name_of(row.member))
        messages.success(request, told)
    else:
        told = _("The invitation to {address} no longer works.").format(address=shown_email(row.email))
        messages.success(request, told)
    return redirect("own-people")


@require_POST
@only_own
def leave(request: HttpRequest, profile: UserProfile) -> HttpResponse:
    """Leave the subscription that somebody else pays for."""
    row = Membership.objects.filter(member=profile, ended_at=None).first()
    if row is None or not memberships.end(row, Membership.End.LEFT, actor=audit.CUSTOMER, reason=REASON):
        messages.info(request, _(OVER))
        return redirect("own-people")
    messages.success(request, _("You've left. We keep your data for a while, in case you subscribe yourself."))
    return redirect("dashboard")
