"""What the API says of a customer, read from our own rows: no call leaves, and a customer costs so many queries whatever they have.

Promises: access, its reason and its dates are those that the reconciler has recorded; names and addresses are in `personal` alone,
and each customer's own: of another one there is no more than the number, since only the other one is told as changed.
The triggers of migration 0019 watch what is here and can change: a new column goes there too. Unwatched, and told so to who reads:
dates that pass, what the catalog says of itself (names, for how many people a plan is) and storage.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any

from django.db.models import Q, QuerySet

from apps.access.facts import read_facts
from apps.access.forecast import forecast
from apps.access.policy import decide
from apps.access.upcoming import told
from apps.accounts.erasers import is_erased
from apps.accounts.models import Membership, UserProfile
from apps.billing.subscriptions import SubscriptionLine, SubscriptionState, read_subscriptions
from apps.catalog.entitlements import NOTHING
from apps.catalog.models import Product
from apps.core import audit
from apps.core.audit_actions import AuditAction
from apps.core.models import AuditEntry
from apps.core.reason_sentences import reason_sentence
from apps.core.reasons import Reason
from apps.core.states import AccessState, SubscriptionStatus
from apps.instances.models import ProductAccount, Seat

Json = dict[str, Any]
CUSTOMERS = "/api/v1/customers/"


def list_customers(by: Mapping[str, str]) -> QuerySet[UserProfile]:
    """Those that a filter names, the first first: `email`, `keycloak_id` or `stripe_customer`; all, without one."""
    columns = {"email": "email__iexact", "keycloak_id": "keycloak_id", "stripe_customer": "stripe_customer_id"}
    named = {columns[name]: value for name, value in by.items()}
    return UserProfile.objects.select_related("user").filter(**named).order_by("pk")


def summarize(profile: UserProfile, *, personal: bool) -> Json:
    """A customer in a list. No query."""
    state = AccessState(profile.access_state)
    found: Json = {
        "id": profile.pk,
        "url": f"{CUSTOMERS}{profile.pk}",
        "keycloak_id": profile.keycloak_id,
        "stripe_customer": profile.stripe_customer_id,
        "erased": is_erased(profile),
        "state": state.value,
        "has_access": state.has_access,
    }
    return found | ({"personal": _personal(profile)} if personal else {})


def describe(profile: UserProfile, *, personal: bool) -> Json:
    """All of a customer; sentences and names of products in the reader's language."""
    states = read_subscriptions(profile.stripe_customer_id)
    running = [one for one in states if not SubscriptionStatus(one.status).ended]
    products = {one.pk: one for one in Product.objects.all()}
    facts = read_facts(profile, states=states)
    has_access = AccessState(profile.access_state).has_access
    given = decide(facts).entitlements if has_access else NOTHING
    return summarize(profile, personal=personal) | {
        "created_at": moment(profile.created_at),
        "language": profile.language,
        "access": _access(profile),
        "next": [
            {
                "at": moment(one.at), "change": one.change.value, "state": one.state.value, "is_loss": one.is_loss,
                "sentence": one.sentence,
            }
            for one in told(forecast(facts))  # of the same rows as all the rest, also before the next sync
        ],
        "subscriptions": [_subscription(one, products) for one in running],
        "entitlements": {"apps": sorted(given.apps), "numbers": dict(given.grants), "people": given.people},
        "seats": list(_seats(profile)),
        **_payers(profile),
    }  # fmt: skip


def list_history(profile: UserProfile, *, before: int | None, limit: int) -> tuple[list[Json], int | None]:
    """The changes of access, the newest first, and the number before which there are more. One query."""
    rows = audit.entries_about(profile.subject).filter(action=AuditAction.ACCESS_CHANGED).order_by("-pk")
    if before is not None:
        rows = rows.filter(pk__lt=before)
    found = list(rows[: limit + 1])
    more = found[limit - 1].pk if len(found) > limit else None
    return [_changed(row) for row in found[:limit]], more


def _changed(row: AuditEntry) -> Json:
    reason = Reason.from_json(row.after.get("why") or {})
    return {
        "id": row.pk, "at": moment(row.at), "from": row.before.get("state"), "to": row.after.get("state"),
        "reason": _reason(reason), "sentence": reason_sentence(reason) if reason else "",
    }  # fmt: skip


def _personal(profile: UserProfile) -> Json | None:
    if is_erased(profile):
        return None
    user = profile.user
    return {
        "email": profile.email, "email_problem": profile.email_problem or None, "username": user.username,
        "first_name": user.first_name, "last_name": user.last_name,
    }  # fmt: skip


def _access(profile: UserProfile) -> Json:
    return {
        "reason": _reason(Reason.from_json(profile.access_reason)),
        "sentence": profile.access_sentence,
        "until": moment(profile.access_until),
        "final_expiry_at": moment(profile.final_expiry_at),
    }


def _reason(reason: Reason | None) -> Json | None:
    if reason is None:
        return None
    return {
        "code": reason.code.value, "until": moment(reason.until), "is_paused": reason.is_paused,
        "paused_until": moment(reason.paused_until), "is_shared": reason.is_shared,
    }  # fmt: skip


def _subscription(one: SubscriptionState, products: Mapping[int, Product]) -> Json:
    return {
        "id": one.id,
        "status": one.status,
        "current_period_end": moment(one.current_period_end),
        "trial_end": moment(one.trial_end),
        "cancel_at": moment(one.cancel_at),
        "is_paused": bool(one.pause),
        "past_due_since": moment(one.past_due_since),
        "lines": [_line(line, products) for line in one.lines],
    }


def _line(line: SubscriptionLine, products: Mapping[int, Product]) -> Json:
    product = products.get(line.product_id or 0)
    return {
        "product": _product(product) if product else None, "price": line.price_id, "quantity": line.quantity,
        "unit_amount": line.unit_amount, "currency": line.currency, "interval": line.interval,
    }  # fmt: skip


def _product(product: Product) -> Json:
    return {"slug": product.slug, "name": product.name, "is_plan": product.placement == Product.Placement.PLAN}


def _seats(profile: UserProfile) -> Iterable[Json]:
    seats = Seat.objects.filter(profile=profile).exclude(state=Seat.State.RELEASED)
    over = [ProductAccount.State.LEAVING, ProductAccount.State.DELETED]
    live = ProductAccount.objects.filter(profile=profile).exclude(state__in=over)  # one on each instance
    accounts = {one.instance_id: one for one in live}
    for seat in seats.select_related("product", "instance").order_by("pk"):
        account, instance = accounts.get(seat.instance_id), seat.instance
        yield {
            "product": _product(seat.product),
            "state": seat.state,
            "instance": {"slug": instance.slug, "name": instance.name, "url": instance.url},
            "storage": {"used": account.used, "quota": account.quota_found} if account else None,
        }


def _payers(profile: UserProfile) -> Json:
    """Who pays for them, and for whom they pay, by number. One query."""
    rows = Membership.objects.filter(Q(member=profile) | Q(payer=profile), ended_at=None, accepted_at__isnull=False)
    found = list(rows.order_by("accepted_at", "pk"))
    payer = next((row.payer_id for row in found if row.member_id == profile.pk), None)
    return {"paid_by": payer, "pays_for": [row.member_id for row in found if row.payer_id == profile.pk]}


def moment(value: dt.datetime | None) -> str | None:
    """A time as RFC 3339 has it, in UTC to the second."""
    return value.astimezone(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z") if value else None
