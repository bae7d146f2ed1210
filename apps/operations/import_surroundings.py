"""What an import is judged by, read for many rows at once: who is here already, what is sold, the terms, and what the realm accepts.

The number of queries does not depend on how many rows they are; no call.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from allauth.socialaccount.models import SocialAccount
from django.contrib.auth.models import User
from django.db.models import Min, Q
from django.db.models.functions import Lower

from apps.access.terms import TermsBook, read_terms
from apps.accounts.models import Signup, UserProfile
from apps.billing import adopting
from apps.catalog.entitlements import Entitlements, attribute_names
from apps.catalog.models import Product
from apps.catalog.product_entitlements import read_catalog
from apps.identity import user_profile
from apps.identity.user_profile import Rules
from apps.instances.models import Instance
from apps.operations.models import CustomerImport, ImportRow


@dataclass(frozen=True)
class KnownPerson:
    """A subscriber who is here."""

    pk: int
    email: str
    customer_id: str
    keycloak_id: str


@dataclass(frozen=True)
class Place:
    """An instance, by its slug elsewhere."""

    pk: int
    product_id: int
    product: str


@dataclass(frozen=True)
class Surroundings:
    """All that a verdict may know beside its row."""

    catalog: dict[int, Entitlements]
    owned: frozenset[str]  # the names of our attributes
    book: TermsBook
    prices: Mapping[str, int]
    products: Mapping[str, int]
    places: Mapping[str, Place]
    rules: Rules
    sends_emails: bool
    by_email: Mapping[str, KnownPerson] = field(default_factory=dict)
    by_customer: Mapping[str, KnownPerson] = field(default_factory=dict)
    by_account: Mapping[str, KnownPerson] = field(default_factory=dict)
    usernames: frozenset[str] = frozenset()  # of those asked about, the ones somebody has
    logins: frozenset[str] = frozenset()  # accounts with which somebody who is no subscriber logs in: staff
    paying: frozenset[str] = frozenset()  # addresses at a checkout
    first: Mapping[tuple[str, str], int] = field(default_factory=dict)  # the first row with a value that several have


def read_places() -> dict[str, Place]:
    """Every instance, by slug."""
    rows = Instance.objects.values_list("slug", "pk", "product_id", "product__slug")
    return {slug: Place(pk, product_id, product) for slug, pk, product_id, product in rows}


def read_surroundings(run: CustomerImport, rows: Collection[ImportRow]) -> Surroundings:
    """For these rows of an import. Some fifteen queries."""
    emails, customers, accounts, names = _asked(rows)
    people = UserProfile.objects.annotate(address=Lower("email")).filter(
        Q(address__in=emails) | Q(stripe_customer_id__in=customers) | Q(keycloak_id__in=accounts)
    )
    known = [
        KnownPerson(pk, address, customer or "", account or "")
        for pk, address, customer, account in people.values_list("pk", "address", "stripe_customer_id", "keycloak_id")
    ]
    catalog = read_catalog()
    users = User.objects.annotate(name=Lower("username")).filter(name__in=names)
    logins = SocialAccount.objects.filter(provider="keycloak", uid__in=accounts, user__profile=None)
    live = Signup.objects.filter(state__in=Signup.LIVE).annotate(address=Lower("email")).filter(address__in=emails)
    return Surroundings(
        catalog=catalog.by_product,
        owned=attribute_names(catalog.everything),
        book=read_terms(),
        prices=adopting.map_prices(),
        products=dict(Product.objects.values_list("slug", "pk")),
        places=read_places(),
        rules=user_profile.current_rules(),
        sends_emails=run.sends_emails,
        by_email={one.email: one for one in known},
        by_customer={one.customer_id: one for one in known if one.customer_id},
        by_account={one.keycloak_id: one for one in known if one.keycloak_id},
        usernames=frozenset(users.values_list("name", flat=True)),
        logins=frozenset(logins.values_list("uid", flat=True)),
        paying=frozenset(live.values_list("address", flat=True)),
        first=_first_rows(run, {"email": emails, "customer_id": customers, "keycloak_id": accounts}),
    )


def _asked(rows: Collection[ImportRow]) -> tuple[set[str], set[str], set[str], set[str]]:
    """The addresses, customers, accounts and usernames that these rows may turn out to have."""
    emails, customers, accounts, names = set[str](), set[str](), set[str](), set[str]()
    for row in rows:
        at_stripe = [str(one.get("email", "")).lower() for one in row.customers.values()]
        emails |= {row.email, str(row.account.get("email", "")), *at_stripe}
        customers |= {row.customer_id, *row.customers}
        accounts |= {row.keycloak_id, str(row.account.get("id", ""))}
        names |= {
            row.username,
            str(row.account.get("username", "")).lower(),
            *map(suggest_username, (row.email, *at_stripe)),
        }
    return emails - {""}, customers - {""}, accounts - {""}, names - {""}


def suggest_username(email: str) -> str:
    """A username for somebody of whom only the address is known; empty when it gives none."""
    local = email.partition("@")[0].partition("+")[0].lower()
    kept = "".join(one for one in local if one.isascii() and (one.isalnum() or one in "._-")).strip("._-")[:30]
    return kept if len(kept) >= 3 else ""


def _first_rows(run: CustomerImport, asked: Mapping[str, Collection[str]]) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for name, values in asked.items():
        rows = run.rows.filter(**{f"{name}__in": values}, problem="").order_by()
        for value, number in rows.values_list(name).annotate(first=Min("number")).values_list(name, "first"):
            found[name, value] = number
    return found
