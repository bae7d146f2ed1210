"""Ways to break what the laws watch, by raw SQL past constraints and triggers."""

import datetime as dt
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db import connection

from apps.access import overrides
from apps.accounts.models import UserProfile
from apps.catalog.models import Product
from apps.core import audit, clock
from apps.core.audit_actions import AuditAction
from apps.core.models import AuditEntry
from apps.instances.models import Instance, Seat
from apps.notifications.models import Notification
from apps.operations.models import Drift
from tests.world import World

HOUR = "now() - interval '1 hour'"


@dataclass
class Town:
    """A world in which everything is in order: Dana, to whom it happens, and Otto, to whom nothing does."""

    world: World
    dana: UserProfile
    otto: UserProfile

    @property
    def seat(self) -> Seat:
        return Seat.objects.get(profile=self.dana)


def run(sql: str, *values: Any) -> None:
    with connection.cursor() as cursor:
        if sql.startswith(("ALTER", "DROP")):
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # else events of its tables are pending
        cursor.execute(sql, values)


def profile(town: Town, change: str) -> list[tuple[str, str]]:
    """Change Dana's row; she is whom the law names."""
    run(f"UPDATE accounts_userprofile SET {change} WHERE id = %s", town.dana.pk)
    return [("profile", str(town.dana.pk))]


# --- what is broken, by law: each returns what the law names, and the laws that are truly broken with it --------------------

Named = list[tuple[str, str]]
Sabotage = Callable[[Town], Named | tuple[Named, dict[str, Named]]]


def drift(town: Town, kind: str, *, excess: bool = False) -> Named:
    run(
        "INSERT INTO operations_drift (profile_id, kind, keycloak_value, steps, is_excess, first_seen_at, last_seen_at)"
        f" VALUES (%s, %s, '', '[]', %s, {HOUR}, now()) RETURNING id",
        town.dana.pk, kind, excess,
    )  # fmt: skip
    return [("drift", str(Drift.objects.latest("pk").pk))]


def excess(town: Town) -> Any:
    """More in Keycloak than is due: it is not what was decided, either."""
    named = drift(town, "access", excess=True)
    return named, {"L3": named}


def grant(town: Town, name: str = "eve") -> UserProfile:
    """Somebody to whom staff granted an app, worked off."""
    user = User.objects.create(username=name, first_name=name, last_name="Example", email=f"{name}@example.com")
    made = UserProfile.objects.create(user=user, email=user.email, created_at=clock.now())
    until = clock.now() + dt.timedelta(days=3)
    overrides.grant(
        profile=made, products=[Product.objects.get(slug="nextcloud")], until=until, actor="staff:ada", reason="a test"
    )
    town.world.work()
    return made


def unpaid(town: Town) -> Any:
    named = profile(town, "subscription_status = 'canceled'")
    run(
        "UPDATE billing_subscription SET status = 'canceled', ended_at = now() WHERE customer_id = %s",
        town.dana.stripe_customer_id,
    )
    return named


def held(town: Town) -> Any:
    run(
        "INSERT INTO access_accessoverride (profile_id, kind, reason, created_by, created_at, starts_at)"
        f" VALUES (%s, 'hold', 'a test', 'staff:ada', {HOUR}, {HOUR})",
        town.dana.pk,
    )  # fmt: skip
    named: Named = [("profile", str(town.dana.pk))]
    return named, {"L11": named}  # nobody added it by the audit trail


def grant_without_author(town: Town) -> Any:
    eve = grant(town)
    run("UPDATE access_accessoverride SET created_by = '' WHERE profile_id = %s", eve.pk)
    return [("accessoverride", str(eve.overrides.get().pk))]


def closed(town: Town, more: str = "") -> Any:
    """Suspended without a reason, a line of the audit trail and the seat's state included."""
    named = profile(town, f"access_state = 'suspended', subscription_synced_at = {HOUR} {more}")
    run("UPDATE instances_seat SET state = 'retained' WHERE profile_id = %s", town.dana.pk)
    run(
        "UPDATE instances_instance SET assigned = assigned - 1, retained = retained + 1 WHERE id = %s",
        town.seat.instance_id,
    )
    changed(town, "suspended")
    audit.record(
        subject=town.dana.subject, action=AuditAction.SEAT_RETAINED, after={"instance": town.seat.instance.slug}
    )
    return named


def waiting(town: Town) -> Any:
    """Paid, asked for, and never synced; no job does it."""
    named = profile(town, f"pending_since = {HOUR}, desired_generation = 99, synced_at = NULL")
    return named, {"L3": named}


def stuck(town: Town) -> Any:
    return profile(town, f"pending_since = {HOUR}, desired_generation = 99")


def counter(town: Town, change: str) -> Named:
    run(f"UPDATE instances_instance SET {change} WHERE id = %s", town.seat.instance_id)
    return [("instance", str(town.seat.instance_id))]


def over_cap(town: Town) -> Any:
    with connection.cursor() as cursor:
        found = connection.introspection.get_constraints(cursor, "instances_instance")
    for name in (name for name, one in found.items() if one["check"]):
        run(f'ALTER TABLE instances_instance DROP CONSTRAINT "{name}"')
    return counter(town, "soft_cap = -2, allocation_cap = -1, hard_cap = 0")


def without_constraint(table: str, name: str) -> None:
    run(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}")
    run(f"DROP INDEX IF EXISTS {name}")


def unique_of(table: str, column: str) -> None:
    """Drop what keeps a column unique."""
    with connection.cursor() as cursor:
        found = connection.introspection.get_constraints(cursor, table)
    for name, one in found.items():
        if one["unique"] and one["columns"] == [column] and not one["primary_key"]:
            run(f'ALTER TABLE {table} DROP CONSTRAINT IF EXISTS "{name}" CASCADE')


def same_account(town: Town) -> Any:
    unique_of("accounts_userprofile", "keycloak_id")
    profile(town, f"keycloak_id = (SELECT keycloak_id FROM accounts_userprofile WHERE id = {town.otto.pk})")
    both = [("profile", str(one.pk)) for one in (town.dana, town.otto)]
    return [*both, both[0]]  # and her login leads elsewhere


def same_customer(town: Town) -> Any:
    unique_of("accounts_userprofile", "stripe_customer_id")
    profile(
        town, f"stripe_customer_id = (SELECT stripe_customer_id FROM accounts_userprofile WHERE id = {town.otto.pk})"
    )
    both = [("profile", str(one.pk)) for one in (town.dana, town.otto)]
    return [*both, both[0]]  # and her subscription is another customer's


def no_login(town: Town) -> Any:
    run("DELETE FROM socialaccount_socialaccount WHERE user_id = %s", town.dana.user_id)
    return [("profile", str(town.dana.pk))]


def second_seat(town: Town) -> Any:
    without_constraint("instances_seat", "seat_one_live_per_profile_and_product")
    seat = town.seat
    run(
        "INSERT INTO instances_seat (profile_id, product_id, instance_id, state, created_at, changed_at)"
        " SELECT profile_id, product_id, instance_id, state, now(), now() FROM instances_seat WHERE id = %s", seat.pk,
    )  # fmt: skip
    run(
        "UPDATE instances_instance SET allocated_seats = allocated_seats + 1, assigned = assigned + 1 WHERE id = %s",
        seat.instance_id,
    )
    return [("seat", str(one.pk)) for one in Seat.objects.filter(profile=town.dana).order_by("pk")]


def seat_of_nobody(town: Town) -> Any:
    for name in connection.introspection.get_constraints(connection.cursor(), "instances_seat"):
        if "profile_id" in name and "fk" in name:
            run(f'ALTER TABLE instances_seat DROP CONSTRAINT "{name}"')
    seat = town.seat.pk
    profile(town, f"synced_at = {HOUR}")
    run("UPDATE instances_seat SET profile_id = 999999 WHERE id = %s", seat)
    named: Named = [("seat", str(seat)), ("profile", str(town.dana.pk))]  # and she has none
    return named, {"L11": [("seat", str(seat))]}


def seat(town: Town, change: str, counters: str) -> Named:
    found = town.seat
    profile(town, f"synced_at = {HOUR}")
    run(f"UPDATE instances_seat SET {change}, changed_at = {HOUR} WHERE id = %s", found.pk)
    run(f"UPDATE instances_instance SET {counters} WHERE id = %s", found.instance_id)
    return [("seat", str(found.pk))]


def no_seat(town: Town) -> Any:
    found = seat(
        town,
        "state = 'released', released_at = now()",
        "allocated_seats = allocated_seats - 1, assigned = assigned - 1",
    )
    return [("profile", str(town.dana.pk))], {"L11": found}


def retained(town: Town) -> Any:
    found = seat(town, "state = 'retained'", "assigned = assigned - 1, retained = retained + 1")
    return [*found, ("profile", str(town.dana.pk))], {"L11": found}  # she is entitled to a seat in use


def seat_without_access(town: Town) -> Any:
    """A seat in use of somebody who never had access."""
    eve = UserProfile.objects.create(
        user=User.objects.create(username="eve"), email="eve@example.com", created_at=clock.now()
    )
    found = town.seat.instance
    run(
        "INSERT INTO instances_seat (profile_id, product_id, instance_id, state, created_at, changed_at)"
        f" VALUES (%s, %s, %s, 'assigned', {HOUR}, {HOUR})", eve.pk, found.product_id, found.pk,
    )  # fmt: skip
    run(
        "UPDATE instances_instance SET allocated_seats = allocated_seats + 1, assigned = assigned + 1 WHERE id = %s",
        found.pk,
    )
    named: Named = [("seat", str(Seat.objects.get(profile=eve).pk))]
    return named, {"L11": named}


def email(change: str) -> Sabotage:
    def break_it(_town: Town) -> Named:
        now = clock.now()
        for number in (1, 2):
            Notification.objects.create(
                key=f"expired:{number}", template="expired", to="dana@example.com", state="sent", provider_id=f"<{number}@mg>",
                created_at=now, sent_at=now,
            )  # fmt: skip
        newest = Notification.objects.latest("pk")
        run(f"UPDATE notifications_notification SET {change} WHERE id = %s", newest.pk)
        return [("notification", str(newest.pk))]

    return break_it


def same_key(town: Town) -> Any:
    without_constraint("notifications_notification", "notification_one_per_key")
    return email("key = 'expired:1'")(town)


def seat_unrecorded(town: Town) -> Any:
    """A seat moved past the application: no line says so."""
    found, other = town.seat, Instance.objects.exclude(pk=town.seat.instance_id).get(product=town.seat.product)
    run("UPDATE instances_seat SET instance_id = %s WHERE id = %s", other.pk, found.pk)
    down = "UPDATE instances_instance SET allocated_seats = allocated_seats - 1, assigned = assigned - 1 WHERE id = %s"
    run(down, found.instance_id)
    run(down.replace("- 1", "+ 1"), other.pk)
    return [("seat", str(found.pk))]


def changed(town: Town, *states: str) -> None:
    """Lines of the audit trail that say that Dana's access went through these states."""
    for before, after in itertools.pairwise(("active", *states)):
        audit.record(
            subject=town.dana.subject,
            action=AuditAction.ACCESS_CHANGED,
            before={"state": before},
            after={"state": after},
        )


def override_unrecorded(town: Town) -> Any:
    run(
        "INSERT INTO access_accessoverride (profile_id, kind, reason, created_by, created_at, starts_at, ends_at)"
        " VALUES (%s, 'keep_seat', 'a test', 'staff:ada', now(), now(), now() + interval '1 day')", town.dana.pk,
    )  # fmt: skip
    return [("profile", str(town.dana.pk))]


def entry(town: Town, sql: str) -> int:
    """Do something to the second line about Dana."""
    found = AuditEntry.objects.filter(subject_kind="profile", subject_id=str(town.dana.pk)).order_by("pk")[1].pk
    run("ALTER TABLE core_auditentry DISABLE TRIGGER core_auditentry_no_change")
    run(sql, found)
    run("ALTER TABLE core_auditentry ENABLE TRIGGER core_auditentry_no_change")
    return found


def altered(town: Town) -> Any:
    return [("auditentry", str(entry(town, "UPDATE core_auditentry SET actor = 'staff:eve' WHERE id = %s")))]


def removed(town: Town) -> Any:
    found = entry(town, "DELETE FROM core_auditentry WHERE id = %s")
    after = AuditEntry.objects.filter(subject_kind="profile", subject_id=str(town.dana.pk), pk__gt=found).earliest("pk")
    return [("auditentry", str(after.pk))]


def unguarded(_town: Town) -> Any:
    run("ALTER TABLE core_auditentry DISABLE TRIGGER core_auditentry_no_change")
    return [("trigger", "core_auditentry_no_change")]


def late_grace(town: Town) -> Any:
    named = profile(town, "access_state = 'grace', access_until = now() - interval '2 minutes'")
    changed(town, "grace")
    return named


def early_end(town: Town) -> Any:
    run(
        "UPDATE billing_subscription SET status = 'past_due', past_due_since = now() WHERE customer_id = %s",
        town.dana.stripe_customer_id,
    )
    run(
        "INSERT INTO access_termschange (grace_days, paused_collection, lost_dispute, reason, changed_by, changed_at)"
        " VALUES (7, '', '', 'a test', 'staff:ada', now())"
    )
    return closed(town, ", subscription_status = 'past_due'")


def expired(
    town: Town, state: str, *, status: str = "canceled", final: str = "now() - interval '30 days'", until: str = "NULL"
) -> Named:
    """Canceled long ago, seat and account included."""
    run(
        f"UPDATE billing_subscription SET status = 'canceled', ended_at = {HOUR} - interval '60 days' WHERE customer_id = %s",
        town.dana.stripe_customer_id,
    )
    found = town.seat
    run("UPDATE instances_seat SET state = 'released', released_at = now() WHERE id = %s", found.pk)
    run(
        "UPDATE instances_instance SET allocated_seats = allocated_seats - 1, assigned = assigned - 1 WHERE id = %s",
        found.instance_id,
    )
    audit.record(subject=town.dana.subject, action=AuditAction.SEAT_RELEASED, after={"instance": found.instance.slug})
    changed(town, *dict.fromkeys(("canceled", state)))
    return profile(
        town,
        f"access_state = '{state}', subscription_status = '{status}', access_until = NULL, final_expiry_at = {final},"
        f" recovering_until = {until}",
    )


def expired_with_seat(town: Town) -> Any:
    named = expired(town, "expired")
    found = Seat.objects.get(profile=town.dana)
    run(
        f"UPDATE instances_seat SET state = 'retained', released_at = NULL, changed_at = {HOUR} WHERE id = %s", found.pk
    )
    run(
        "UPDATE instances_instance SET allocated_seats = allocated_seats + 1, retained = retained + 1 WHERE id = %s",
        found.instance_id,
    )
    audit.record(subject=town.dana.subject, action=AuditAction.SEAT_RETAINED, after={"instance": found.instance.slug})
    return named, {"L9": [("seat", str(found.pk))]}
