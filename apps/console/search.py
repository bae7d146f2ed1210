"""Search that recognizes the term first: an id, a number, an email or the start of a name, each by one index."""

import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from unfold.dataclasses import SearchResult

from apps.accounts.models import UserProfile

LIMIT = 1_001
PALETTE_LIMIT = 8
STRIPE_ID = re.compile(r"^(cus|sub|evt|in|price|prod|ch|re|dp|du|cs|si|acct)_[A-Za-z0-9_]+$")
KINDS = {
    "cus": "customer",
    "sub": "subscription",
    "evt": "event",
    "price": "price",
    "prod": "stripe_product",
    "cs": "session",
}
PEOPLE = "people"


def kind_of(term: str) -> str:
    """What a term is: customer, subscription, event, price, stripe_product, session, stripe, uuid, email, number or text."""
    if found := STRIPE_ID.match(term):
        return KINDS.get(found[1], "stripe")
    if "@" in term:
        return "email"
    if term.isascii() and term.isdigit():
        return "number" if len(term) < 19 else "text"
    try:
        UUID(term)
    except ValueError:
        return "text"
    return "uuid"


def narrow(queryset: QuerySet[Any], term: str, search_by: Mapping[str, str]) -> QuerySet[Any]:
    """`queryset` reduced to what `term` names.

    `search_by` maps a kind of term to a look-up; several, separated by spaces, are alternatives within one table. The key
    "people" names the path to the profile and finds every kind of term that names a person.
    """
    kind = kind_of(term)
    wanted = Q()
    for lookup in search_by.get(kind, "").split():
        wanted |= Q(**{lookup: int(term) if kind == "number" else term})
    if wanted:
        return queryset.filter(wanted)
    if PEOPLE in search_by:
        people = list(profiles(term).values_list("pk", flat=True)[:LIMIT])
        return queryset.filter(**{f"{search_by[PEOPLE]}__in": people})
    return queryset.none()


def profiles(term: str) -> QuerySet[UserProfile]:
    """The subscribers a term names: Stripe customer or subscription, Keycloak id, address or the start of a username."""
    rows = UserProfile.objects.all()
    match kind_of(term):
        case "customer":
            return rows.filter(stripe_customer_id=term)
        case "subscription":
            return rows.filter(stripe_subscription_id=term)
        case "uuid":
            return rows.filter(Q(keycloak_id=term) | Q(onboarding_id=term))
        case "email":
            return (
                rows.filter(email__iexact=term)
                if "." in term.rpartition("@")[2]
                else rows.filter(email__istartswith=term)
            )
        case "number":
            return rows.filter(Q(pk=int(term)))
        case _:
            return rows.filter(user__username__startswith=term.lower())


def palette(request: HttpRequest, term: str) -> list[SearchResult]:
    """What the command palette adds to the menu's own names: the first few subscribers. Names only, as it is cached."""
    if "\x00" in term or not request.user.has_perm("accounts.view_userprofile"):
        return []
    found = profiles(term).select_related("user").order_by("-pk")[:PALETTE_LIMIT]
    return [
        SearchResult(
            title=profile.user.get_username(),
            description=f"Subscriber, {profile.get_access_state_display().lower()}",
            link=reverse("admin:accounts_userprofile_change", args=[profile.pk]),
            icon="person",
        )
        for profile in found
    ]
