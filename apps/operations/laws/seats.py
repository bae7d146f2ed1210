"""The law of seats: one for each subscriber and app, in the state that fits, and nobody who is entitled goes without."""

from collections import defaultdict

from django.db.models import Q, QuerySet
from django.db.models.expressions import RawSQL

from apps.access.policy import Decision
from apps.accounts.models import UserProfile
from apps.core import laws
from apps.core.laws import Checked, Law, LawSeverity, Scope
from apps.core.states import AccessState, SubscriptionStatus, values_where
from apps.instances.models import Seat, SeatWait
from apps.operations.laws.confirm import HAS_ACCESS, MOST, confirm, granted, paid_for

QUIET = 300
NOTHING = "has a retained seat, and nothing to return to"
RETAINS = values_where(AccessState, lambda one: one.retains_seats)
MAY_GIVE_ACCESS = values_where(SubscriptionStatus, lambda one: one.may_give_access)
# Without the constraint that forbids it there could be two; without the key to subscribers, a seat of nobody.
TWICE = """
SELECT s.id, s.profile_id FROM instances_seat s JOIN (
    SELECT profile_id, product_id FROM instances_seat WHERE state <> 'released' GROUP BY 1, 2 HAVING count(*) > 1) AS twice
    USING (profile_id, product_id)
WHERE s.state <> 'released' AND (%(one)s::bigint IS NULL OR s.profile_id = %(one)s)
"""
NOBODY = """
SELECT s.id, s.profile_id FROM instances_seat s LEFT JOIN accounts_userprofile p ON p.id = s.profile_id
WHERE p.id IS NULL AND (%(one)s::bigint IS NULL OR s.profile_id = %(one)s)
"""
# What people pay for, in apps that need a seat, against assigned seats and the line for one.
LACKING = """
SELECT item.profile_id FROM billing_usersubscriptionitem item
JOIN billing_subscription subscription ON subscription.id = item.subscription_id AND subscription.status = ANY(%s)
JOIN (
    SELECT id AS product, id AS app FROM catalog_product WHERE needs_instance
    UNION SELECT from_product_id, to_product_id FROM catalog_product_includes JOIN catalog_product app ON app.id = to_product_id
    WHERE app.needs_instance) AS gives ON gives.product = item.product_id
LEFT JOIN instances_seat seat
    ON seat.profile_id = item.profile_id AND seat.product_id = gives.app AND seat.state = 'assigned'
LEFT JOIN instances_seatwait wait ON wait.profile_id = item.profile_id AND wait.product_id = gives.app
WHERE item.quantity > 0 AND seat.id IS NULL AND wait.id IS NULL
"""


def register() -> None:
    """Add it."""
    laws.register(
        Law(
            "L9",
            "Seats are where they are due",
            "A subscriber has at most one live seat of an app. An assigned seat belongs to somebody with access and a retained one to"
            " somebody who may return; and everybody entitled to an app has a seat or waits for one.",
            LawSeverity.URGENT,
            check_seats,
            allowance_seconds=QUIET,
        )
    )


def check_seats(scope: Scope) -> Checked:
    """L9."""
    seats = scope.narrow(Seat.objects.exclude(state=Seat.State.RELEASED), "profile")
    quiet = seats.filter(profile__pending_since=None, changed_at__lte=scope.before(QUIET))
    values = {"one": scope.subscriber_id}
    assigned, retained = quiet.filter(state=Seat.State.ASSIGNED), quiet.filter(state=Seat.State.RETAINED)
    return laws.combine(
        seats,
        laws.judge_sql(0, TWICE, values, kind="seat", words=lambda: "A subscriber has two live seats of one app."),
        laws.judge_sql(0, NOBODY, values, kind="seat", words=lambda: "A seat belongs to nobody."),
        _judge(assigned.exclude(profile__access_state__in=HAS_ACCESS), "has a seat and no access"),
        _judge(retained.exclude(profile__access_state__in=[*RETAINS, *HAS_ACCESS]), NOTHING),
        _kept_beside(retained.filter(profile__access_state__in=HAS_ACCESS)),
        _lacking(scope),
    )


def _kept_beside(retained: QuerySet[Seat]) -> Checked:
    """Seats that wait although their subscriber has access: only those of a subscription that may come back."""
    waiting, idle = defaultdict[int, dict[str, int]](dict), list[int]()
    for pk, slug, seat in retained.values_list("profile", "product__slug", "pk"):
        waiting[pk][slug] = seat

    def collect(profile: UserProfile, decision: Decision) -> str:
        idle.extend(
            seat
            for slug, seat in waiting[profile.pk].items()
            if slug not in decision.kept and decision.demanded is None
        )
        return ""

    confirm(UserProfile.objects.filter(pk__in=waiting.keys()), collect)
    return _judge(retained.filter(pk__in=idle), NOTHING)


def _judge(broken: QuerySet[Seat], what: str) -> Checked:
    return laws.judge(
        0, broken.order_by("pk"), kind="seat", words=lambda row: f"Subscriber {row.profile_id} {what}.",
        subscriber=lambda row: row.profile_id,
    )  # fmt: skip


def _lacking(scope: Scope) -> Checked:
    """Those with access who pay for an app that needs a seat, or were granted one, and neither have one nor wait."""
    bought = RawSQL(LACKING, [MAY_GIVE_ACCESS])  # noqa: S611  (no value of a person's)
    people = UserProfile.objects.filter(
        access_state__in=HAS_ACCESS, pending_since=None, synced_at__lte=scope.before(QUIET)
    ).filter(Q(pk__in=bought) | Q(granted(scope)) | paid_for(MAY_GIVE_ACCESS))
    people = UserProfile.objects.filter(pk__in=laws.read_ids(scope.narrow(people), MOST + 1))
    have = defaultdict[int, set[str]](set)
    for rows in (Seat.objects.filter(state=Seat.State.ASSIGNED), SeatWait.objects.all()):
        for pk, slug in rows.filter(profile__in=people).values_list("profile", "product__slug"):
            have[pk].add(slug)

    def say_missing(profile: UserProfile, decision: Decision) -> str:
        missing = decision.entitlements.seats - have[profile.pk] if decision.state.has_access else ()
        apps = ", ".join(sorted(missing))
        return f"Subscriber {profile.pk} is entitled to {apps}, has no seat and does not wait for one." if apps else ""

    return confirm(people, say_missing)
