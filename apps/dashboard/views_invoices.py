"""The subscriber's invoices, and the way to each of them at Stripe: its page, where it can be paid, and its PDF."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from apps.accounts.models import UserProfile
from apps.billing import own_invoices
from apps.billing.own_invoices import InvoiceDocument
from apps.core import limits
from apps.core.errors import BadInput
from apps.dashboard.own import own

only_own = own(page="own-invoices", of_staff="admin:index")


@require_safe
@only_own
def page(request: HttpRequest, profile: UserProfile) -> HttpResponse:
    """All invoices, the newest first; those that can be paid once more above them."""
    found = own_invoices.list_own(profile.stripe_customer_id or "")
    context = {
        "profile": profile,
        "invoices": found,
        "open": [one for one in found if one.is_open][::-1],
        "is_cut": len(found) == own_invoices.MOST,
    }
    return render(request, "dashboard/invoices.html", context)


@require_safe
@only_own
def show(request: HttpRequest, profile: UserProfile) -> HttpResponse:
    """To one of the subscriber's own invoices at Stripe; back to the list with a sentence when there is none."""
    wanted, kind = request.GET.get("invoice", ""), request.GET.get("as", "")
    document = InvoiceDocument.PDF if kind == InvoiceDocument.PDF else InvoiceDocument.PAGE
    customer = profile.stripe_customer_id or ""
    try:
        own_invoices.expect_own(customer, wanted)
        _count(profile)
        return HttpResponseRedirect(own_invoices.fetch_link(customer, wanted, document))
    except BadInput as refusal:
        messages.error(request, refusal.message)
    return redirect("own-invoices")


def _count(profile: UserProfile) -> None:
    if not limits.allow(invoice_links=str(profile.user_id)):
        raise BadInput(_("You've opened too many invoices in a short time. Please wait a few minutes."), status=429)
