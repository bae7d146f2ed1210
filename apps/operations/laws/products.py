"""The law of accounts in products: each is what was ordered, and what was ordered follows the seat."""

from typing import Any

from apps.core import laws
from apps.core.audit_actions import AuditAction
from apps.core.laws import HOUR, Checked, Law, LawSeverity, Scope
from apps.core.models import Job
from apps.instances.models import ProductAccount, Seat
from apps.instances.provisioning import accounts

QUIET = 300
OBEYS = """
FROM instances_productaccount account JOIN accounts_userprofile person ON person.id = account.profile_id
JOIN instances_instance place ON place.id = account.instance_id JOIN instances_provisioning way ON way.instance_id = place.id
"""
# What was ordered, and is neither done nor about to be.
UNDONE = f"""
SELECT account.id, account.profile_id, place.slug, account.state {OBEYS}
WHERE account.synced_at IS NULL AND (%(one)s::bigint IS NULL OR account.profile_id = %(one)s) AND NOT EXISTS (
    SELECT FROM core_job job WHERE job.kind = %(sync)s AND job.key = account.id::text AND job.state = ANY(%(unfinished)s)
        AND job.created_at >= %(waited)s)
"""  # noqa: S608
# What counts as done, and was read otherwise. A quota is rounded up by some products, so only too little counts; what a product does
# not tell is nothing to judge.
DIFFERENT = f"""
SELECT account.id, account.profile_id, place.slug, account.state {OBEYS}
WHERE account.synced_at IS NOT NULL AND (%(one)s::bigint IS NULL OR account.profile_id = %(one)s) AND CASE account.state
    WHEN %(open)s THEN account.exists IS FALSE OR account.exists AND (account.enabled IS NOT TRUE
        OR account.quota IS NOT NULL AND (account.quota_found IS NULL OR account.quota_found < account.quota))
    WHEN %(deleted)s THEN account.exists IS TRUE
    ELSE account.exists IS TRUE AND account.enabled IS TRUE END
"""
# An account that is open without a seat in use there.
SEATLESS = f"""
SELECT account.id, account.profile_id, place.slug {OBEYS}
WHERE account.state = %(open)s AND (%(one)s::bigint IS NULL OR account.profile_id = %(one)s)
    AND person.pending_since IS NULL AND person.synced_at <= %(quiet)s AND NOT EXISTS (
    SELECT FROM instances_seat seat WHERE seat.profile_id = account.profile_id AND seat.instance_id = account.instance_id
        AND seat.state = %(assigned)s)
"""  # noqa: S608
# A seat in use whose owner has no open account there by the login that they have now, although they were synced since it takes orders.
UNORDERED = """
SELECT seat.id, seat.profile_id, place.slug FROM instances_seat seat
JOIN accounts_userprofile person ON person.id = seat.profile_id AND person.keycloak_id IS NOT NULL
JOIN instances_instance place ON place.id = seat.instance_id JOIN instances_provisioning way ON way.instance_id = place.id
WHERE seat.state = %(assigned)s AND seat.changed_at <= %(quiet)s AND (%(one)s::bigint IS NULL OR seat.profile_id = %(one)s)
    AND person.pending_since IS NULL AND person.synced_at <= %(quiet)s AND NOT EXISTS (
    SELECT FROM instances_productaccount account WHERE account.profile_id = seat.profile_id
        AND account.instance_id = seat.instance_id AND account.user_id = person.keycloak_id AND account.state = %(open)s)
    AND person.synced_at > coalesce((SELECT max(line.at) FROM core_auditentry line
        WHERE line.subject_kind = 'instance' AND line.subject_id = place.id::text AND line.action = %(changed)s), '-infinity')
"""


def register() -> None:
    """Add it."""
    laws.register(
        Law(
            "L32",
            "Every account in a product is as ordered",
            "Where an instance takes orders, each seat in use has an open account in the product, and no other account is open. Each"
            " is there, lets in and has the quota as ordered, by its last reading, or will be within the hour.",
            LawSeverity.IMPORTANT,
            check_products,
            allowance_seconds=HOUR,
        )
    )


def check_products(scope: Scope) -> Checked:
    """L32."""
    ordered = scope.narrow(ProductAccount.objects.filter(instance__provisioning__isnull=False), "profile")
    values: dict[str, Any] = {
        "one": scope.subscriber_id, "sync": accounts.KIND, "unfinished": [str(one) for one in Job.UNFINISHED],
        "waited": scope.before(HOUR), "quiet": scope.before(QUIET), "open": ProductAccount.State.OPEN.value,
        "deleted": ProductAccount.State.DELETED.value, "assigned": Seat.State.ASSIGNED.value,
        "changed": AuditAction.INSTANCE_PROVISIONING_CHANGED.value,
    }  # fmt: skip
    account, seat = {"kind": "product_account"}, {"kind": "seat"}
    return laws.combine(
        ordered,
        laws.judge_sql(0, UNDONE, values, words=_say_undone, **account),
        laws.judge_sql(0, DIFFERENT, values, words=_say_different, **account),
        laws.judge_sql(0, SEATLESS, values, words=_say_seatless, **account),
        laws.judge_sql(0, UNORDERED, values, words=_say_unordered, **seat),
    )


def _say_undone(slug: str, state: str) -> str:
    return f"An account on {slug} should be {ProductAccount.State(state).in_words}, and no job is about to do that."


def _say_different(slug: str, state: str) -> str:
    return f"An account on {slug} should be {ProductAccount.State(state).in_words}, and was read otherwise."


def _say_seatless(slug: str) -> str:
    return f"An account on {slug} is open without a seat in use there."


def _say_unordered(slug: str) -> str:
    return f"A seat on {slug} is in use, and its account there is not open."
