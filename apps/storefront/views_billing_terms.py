"""The page that says how billing and access work, with the numbers that are in force now."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from apps.access.policy_facts import Terms
from apps.access.terms import TermsBook, read_terms
from apps.catalog.models import Product


@require_safe
def how_billing_works(request: HttpRequest) -> HttpResponse:
    """What is charged when, what a failed payment and a cancellation lead to, and how long everything is kept."""
    book = read_terms(0)
    context = {
        "terms": _numbers(book.general),
        "plans": _plans_with_own_terms(book),
        "confirm_days": settings.WAITLIST_CONFIRM_DAYS,
        "invitation_days": settings.WAITLIST_INVITATION_DAYS,
    }
    return render(request, "storefront/how_billing_works.html", context)


def _numbers(terms: Terms) -> dict[str, int]:
    """Terms as people count them: a recovery of whole days in days."""
    hours = int(terms.recovery.total_seconds()) // 3600
    return {
        "grace_days": terms.grace.days,
        "expiry_days": terms.expiry.days,
        "recovery_days": hours // 24 if hours % 24 == 0 else 0,
        "recovery_hours": hours,
    }


def _plans_with_own_terms(book: TermsBook) -> list[tuple[Product, dict[str, int]]]:
    """The plans on offer that differ from what counts for everybody, in the order of the pricing page."""
    plans = Product.objects.filter(pk__in=book.products, is_active=True, placement=Product.Placement.PLAN)
    found = [(plan, _numbers(book.for_subscription([plan.pk], None) or book.general)) for plan in plans]
    return [(plan, numbers) for plan, numbers in found if numbers != _numbers(book.general)]
