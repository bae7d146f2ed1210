"""Search that recognizes the term first: an id, a number, or any part of a name or an address, each by one index."""

import re
from collections.abc import Iterable, Mapping
from functools import reduce
from operator import or_
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import lazy
from unfold.dataclasses import SearchResult

from apps.accounts.models import Signup, UserProfile
from apps.billing.models import InboundEvent
from apps.core.addresses import spellings
from apps.core.masking import USERNAME, is_masked, mask, narrow_lookup, unmasked
from apps.notifications.models import Notification

LIMIT = 1_001
PALETTE_LIMIT = 8
PART = 3
LONGEST_TERM, MOST_WORDS = 254, 8  # an address has so many characters; a condition for each word takes its time
NAMES = ("username", "first_name", "last_name")
STRIPE_ID = re.compile(r"^(cus|sub|evt|in|price|prod|ch|re|dp|du|cs|si|pm|pi|acct)_[A-Za-z0-9_]+$", re.IGNORECASE)
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
        return KINDS.get(found[1].lower(), "stripe")
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
    if len(term) > LONGEST_TERM:
        return queryset.none()
    kind = kind_of(term)
    allowed = (narrow_lookup(queryset.model, one) for one in search_by.get(kind, "").split())
    lookups = [one for one in allowed if one]
    if kind == "email":  # a whole address means the one; its parts are in many
        whole = _any_of([one.replace("__icontains", "__iexact") for one in lookups], term)
        if whole and queryset.filter(whole).exists():
            return queryset.filter(whole)
    wanted = _any_of([_usable(one, term) for one in lookups], int(term) if kind == "number" else term)
    if PEOPLE in search_by and (not wanted or kind in ("email", "text")):
        people = list(profiles(term).values_list("pk", flat=True)[:LIMIT])
        wanted |= Q(**{f"{search_by[PEOPLE]}__in": people})
    return queryset.filter(wanted) if wanted else queryset.none()


def _any_of(lookups: Iterable[str], value: str | int) -> Q:
    """Any of them with the value; text in both spellings of an international domain."""
    values = spellings(value) if isinstance(value, str) else [value]
    return reduce(or_, (Q(**{one: each}) for one in lookups for each in values), Q())


def _usable(lookup: str, term: str) -> str:
    """Of one or two characters only the beginning can be looked up: an index of parts knows three and more."""
    return lookup.replace("__icontains", "__istartswith") if len(term) < PART else lookup


def _of_people(value: str, term: str, *paths: str) -> Q:
    """Subscribers of whom one of these columns has the value in it; nobody where none of them may be asked."""
    allowed = [narrow_lookup(UserProfile, _usable(f"{one}__icontains", term)) for one in paths]
    return _any_of([one for one in allowed if one], value) or Q(pk__in=[])


def profiles(term: str) -> QuerySet[UserProfile]:
    """The subscribers a term names: an id of Stripe or Keycloak in any case, or any part of a name or address.

    An id of something else at Stripe, as an invoice, names whom an event about it was about; a former address, whose it was.
    """
    rows = UserProfile.objects.all()
    if len(term) > LONGEST_TERM:
        return rows.none()
    match kind_of(term):
        case "customer":
            return rows.filter(stripe_customer_id__iexact=term)
        case "subscription":
            return rows.filter(stripe_subscription_id__iexact=term)
        case "uuid":
            return rows.filter(Q(keycloak_id=term.lower()) | Q(onboarding_id=term))
        case "event" | "stripe" | "session":
            told = InboundEvent.objects.filter(Q(object_id=term) | Q(stripe_event_id=term)).exclude(customer_id="")
            return rows.filter(stripe_customer_id__in=told.values("customer_id"))
        case "email" if people := _with_whole_email(term):
            return rows.filter(pk__in=people)
        case "number":
            return rows.filter(Q(pk=int(term)))
        case _:
            return rows.filter(pk__in=_with_email(term).union(_with_name(term)))


def _with_email(term: str) -> QuerySet[UserProfile, int]:
    """At most LIMIT: what is asked of two tables cannot be asked of one index, so each answers for itself."""
    return UserProfile.objects.filter(_of_people(term, term, "email")).values_list("pk", flat=True)[:LIMIT]


def _with_whole_email(term: str) -> list[int]:
    """Whose address it is; else whose it was: the one they signed up with, or one that we wrote to."""
    if people := list(UserProfile.objects.filter(_any_of(["email__iexact"], term)).values_list("pk", flat=True)):
        return people
    signups = Signup.objects.filter(_any_of(["email__iexact"], term), profile__isnull=False)
    emails = Notification.objects.filter(_any_of(["to__iexact"], term), profile__isnull=False)
    found = [rows.order_by().values_list("profile", flat=True)[:LIMIT] for rows in (signups, emails)]
    return list(found[0].union(found[1]))


def _with_name(term: str) -> QuerySet[UserProfile, int]:
    """Each word is part of the username or of a name; nobody has more than a few of them. Masked: the whole username."""
    words, rows = term.split(), UserProfile.objects.all()
    if len(words) > MOST_WORDS:
        return rows.none().values_list("pk", flat=True)
    for word in words:
        rows = rows.filter(_of_people(word, term, *(f"user__{one}" for one in NAMES)))
    return rows.values_list("pk", flat=True)[:LIMIT]


def _shown_name(name: str, number: int) -> str:
    return f"{mask(USERNAME, name)} #{number}" if is_masked() else name


def _shown_description(full_name: str, state: str) -> str:
    return ", ".join(filter(None, ("" if is_masked() else full_name, f"subscriber, {state}")))


_name_when_shown: Any = lazy(_shown_name, str)
_description_when_shown: Any = lazy(_shown_description, str)


def palette(request: HttpRequest, term: str) -> list[SearchResult]:
    """What the command palette adds to the menu's own names: the first few subscribers. Names only, as it is cached.

    Cached for the reader, who may view as a role then: so the names are masked when they are shown.
    """
    typed = request.GET.get("s", "")
    term = typed if typed.lower() == term else term  # Unfold lowers it, and Stripe's ids have capitals
    if "\x00" in term or not request.user.has_perm("accounts.view_userprofile"):
        return []
    found = profiles(term).select_related("user").order_by("-pk")[:PALETTE_LIMIT]
    with unmasked():
        return [
            SearchResult(
                title=_name_when_shown(profile.user.get_username(), profile.pk),
                description=_description_when_shown(
                    profile.user.get_full_name(), profile.get_access_state_display().lower()
                ),
                link=reverse("admin:accounts_userprofile_change", args=[profile.pk]),
                icon="person",
            )
            for profile in found
        ]
