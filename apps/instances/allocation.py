"""The only writer of seats, of the counters of an Instance and of SeatWait.

Promises:
1. A seat row and its instance's counters change in one statement; one live seat per subscriber and product.
2. New subscribers come in below `soft_cap` first, then up to `allocation_cap`; from there to `hard_cap` only returning
   subscribers and staff moves; nobody above `hard_cap`. A lowered cap removes nobody, and who is imported counts where they are.
   Who comes back while an instance still keeps their data comes in there, if it is open and has room.
3. Contention never looks like "full": a first try skips locked instances, a second one waits for the best of them, a third
   one for all.
4. No deadlocks: the subscriber's lock comes first, then instances in the order of their ids, then the audit entry. Callers
   that change several products in one transaction do so in the order of product ids and write audit entries afterwards.
5. Subscribers who have paid and wait come before everyone else; a freed seat goes to the one who has waited longest.

What a subscriber should have is not decided here, and no Keycloak group is touched.
"""

import datetime as dt
from collections.abc import Callable
from functools import partial
from typing import Any

from django.db import connection, transaction
from django.db.models import OuterRef, QuerySet, Subquery

from apps.accounts.models import UserProfile
from apps.catalog.models import Product
from apps.core import audit, clock
from apps.core.audit_actions import AuditAction
from apps.core.errors import BadInput
from apps.core.locks import LockClass, lock_until_commit
from apps.core.states import AccessState, values_where
from apps.instances import statements
from apps.instances.models import Instance, ProductAccount, Seat, SeatWait

# Called after commit with the profile id of a waiting subscriber for whom there is room now.
on_freed: list[Callable[[int], None]] = []

WAITING_STATES = values_where(AccessState, lambda one: one.waits_for_seat)
MAX_OFFERS = 100
KIND = "release_expired_reservations"

# --- people ----------------------------------------------------------------------------------------------------------


@transaction.atomic
def reserve(*, profile: UserProfile, product: Product, until: dt.datetime) -> Seat | None:
    """Reserve a seat until `until` for somebody about to pay; None: full. Someone who already has a seat keeps it."""
    seat = _find(profile, product)
    if seat is None:
        return _allocate(profile, product, state=Seat.State.RESERVED, until=until)
    if seat.state == Seat.State.RESERVED and seat.reserved_until != until:
        seat.reserved_until = until
        seat.save(update_fields=["reserved_until"])
    return seat


@transaction.atomic
def assign(*, profile: UserProfile, product: Product, returning: bool = False) -> Seat | None:
    """Assign a seat: the reserved or retained one, else a new one. None: full, and the subscriber waits.

    `returning`: was a subscriber before, so the reserve up to `hard_cap` may be used.
    """
    seat = _find(profile, product)
    if seat is None:
        seat = _allocate(profile, product, state=Seat.State.ASSIGNED, returning=returning)
        if seat is None:
            _start_waiting(profile, product)
    elif seat.state != Seat.State.ASSIGNED:
        _change_state(seat, profile, Seat.State.ASSIGNED)
    return seat


@transaction.atomic
def retain(*, profile: UserProfile, product: Product) -> Seat | None:
    """Keep the seat while access is withheld; None: there is none. Ends a wait for one."""
    seat = _find(profile, product)
    if seat is None:
        SeatWait.objects.filter(profile=profile, product=product).delete()
    elif seat.state != Seat.State.RETAINED:
        _change_state(seat, profile, Seat.State.RETAINED)
    return seat


@transaction.atomic
def release(*, profile: UserProfile, product: Product) -> Seat | None:
    """Release the seat; returns it, or None when there was none. Ends a wait for one."""
    seat = _find(profile, product)
    if seat is None:
        SeatWait.objects.filter(profile=profile, product=product).delete()
        return None
    _release(seat, profile)
    return seat


@transaction.atomic
def move(*, seat: Seat, instance: Instance, actor: str, reason: str, is_undo: bool = False) -> Seat:
    """Move a seat to another instance of the product, at most up to its `hard_cap`; BadInput when impossible.

    `is_undo`: back to where it was, which may be draining.
    """
    _lock_seats_of(seat.profile_id)
    moved = Seat.objects.select_related("instance", "profile").get(pk=seat.pk)
    ids = [moved.instance_id, instance.pk]
    locked = {row.pk: row for row in Instance.objects.select_for_update().filter(pk__in=ids).order_by("pk")}
    target = locked[instance.pk]
    _refuse_move(moved, target, is_undo=is_undo)
    before = {"instance": moved.instance.slug}
    moved.instance, moved.changed_at = target, clock.now()
    moved.save(update_fields=["instance", "changed_at"])
    with connection.cursor() as cursor:
        cursor.execute(statements.MOVE, {"old": ids[0], "new": ids[1], "state": moved.state})
    audit.record(
        subject=moved.profile.subject,
        action=AuditAction.SEAT_MOVED,
        actor=actor,
        reason=reason,
        before=before,
        after={"instance": target.slug},
    )
    offer_later(moved.product_id)
    return moved


@transaction.atomic
def release_reservation(seat: Seat, *, reason: str) -> bool:
    """Release a seat if it is still only reserved until the same moment; returns whether it was."""
    _lock_seats_of(seat.profile_id)
    same = Seat.objects.filter(pk=seat.pk, state=Seat.State.RESERVED, reserved_until=seat.reserved_until)
    found = same.select_related("instance", "profile").first()
    if found is not None:
        _release(found, found.profile, reason=reason)
    return found is not None


@transaction.atomic
def release_by_staff(*, seat: Seat, actor: str, reason: str) -> Seat:
    """Release this seat for staff; BadInput if it was released already. It is offered to who has waited longest."""
    _lock_seats_of(seat.profile_id)
    found = Seat.objects.select_related("instance", "profile").get(pk=seat.pk)
    if found.state == Seat.State.RELEASED:
        raise BadInput("The seat has been released in the meantime.", code="released")
    _release(found, found.profile, actor=actor, reason=reason)
    return found


def _refuse_move(seat: Seat, target: Instance, *, is_undo: bool) -> None:
    """Raise BadInput, with a sentence for staff, unless the seat may go there."""
    refusals = {
        "The seat has been released in the meantime.": seat.state == Seat.State.RELEASED,
        f"{target} is an instance of another product.": target.product_id != seat.product_id,
        f"The seat is on {target} already.": target.pk == seat.instance_id,
        f"{target} is not in use: nobody is assigned or moved there.": not target.is_active,
        f"{target} is being drained: nobody is moved there.": target.draining_since is not None and not is_undo,
        f"{target} is full: {target.allocated_seats} of {target.hard_cap} seats. Choose another, or raise its hard cap.": (
            target.allocated_seats >= target.hard_cap
        ),
    }
    for message, applies in refusals.items():
        if applies:
            raise BadInput(message, field="instance", code="cannot_move")


def release_expired_reservations() -> int:
    """Release the seats of checkouts that have ended, and offer all free seats; returns how many were released."""
    count = 0
    expired = Seat.objects.filter(state=Seat.State.RESERVED, reserved_until__lte=clock.now())
    for profile_id, seat_id in expired.order_by("pk").values_list("profile_id", "pk"):
        with transaction.atomic():
            _lock_seats_of(profile_id)  # from here on nobody can assign it
            seat = expired.select_related("instance", "profile").filter(pk=seat_id).first()
            if seat is not None:
                _release(seat, seat.profile, reason="checkout ended")
                count += 1
    for product_id in products_in_line():
        _offer(product_id)  # also repeats an offer that was lost by a crash right after a commit
    return count


def release_expired(_key: str = "") -> None:
    """The job: `release_expired_reservations`, every minute."""
    release_expired_reservations()


# --- the parts -------------------------------------------------------------------------------------------------------


def _lock_seats_of(profile_id: int) -> None:
    """Until the end of the transaction nobody else changes this subscriber's seats."""
    lock_until_commit(LockClass.SEATS_OF_SUBSCRIBER, profile_id)


def _find(profile: UserProfile, product: Product) -> Seat | None:
    """The live seat, with the subscriber locked."""
    _lock_seats_of(profile.pk)
    live = Seat.objects.exclude(state=Seat.State.RELEASED).filter(profile=profile, product=product)
    return live.select_related("instance").first()


def _allocate(
    profile: UserProfile,
    product: Product,
    *,
    state: Seat.State,
    until: dt.datetime | None = None,
    returning: bool = False,
) -> Seat | None:
    values = {
        "profile": profile.pk,
        "product": product.pk,
        "state": state.value,
        "until": until,
        "now": clock.now(),
        "waits": WAITING_STATES,
        "own": _where_data_is(profile, product),
        "returning": returning,
    }
    picks = [statements.PICK_OWN] if values["own"] else []
    picks += [statements.PICK_UNLOCKED, statements.PICK_NEXT, statements.PICK_WAITING]
    for pick in [*picks, statements.PICK_FROM_RESERVE] if returning else picks:
        seat_id = _try_to_take(statements.TAKE.format(pick=pick), values)
        if seat_id:
            seat = Seat.objects.select_related("instance").get(pk=seat_id)
            _record(seat, profile, before={})
            return seat
    return None


def _where_data_is(profile: UserProfile, product: Product) -> int | None:
    """The instance that keeps what the person had there; None: there is none. Not asked of who has no account yet."""
    if not profile.keycloak_id:
        return None
    kept = ProductAccount.objects.filter(profile=profile, user_id=profile.keycloak_id, instance__product=product)
    kept = kept.exclude(state=ProductAccount.State.DELETED)
    return kept.order_by("-delete_at", "-pk").values_list("instance_id", flat=True).first()


def _try_to_take(sql: str, values: dict[str, Any]) -> int | None:
    """One try. If it finds nothing, the locks on full instances are given back: holding them could deadlock."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, values)
        found = cursor.fetchone()
        if found is None:
            transaction.set_rollback(True)
    return int(found[0]) if found else None


def _change_state(seat: Seat, profile: UserProfile, state: Seat.State) -> None:
    """Change a live seat's state; its instance stays."""
    before, now = {"state": seat.state, "instance": seat.instance.slug}, clock.now()
    values: dict[str, Any] = {"seat": seat.pk, "before": seat.state, "after": state.value, "now": now}
    with connection.cursor() as cursor:
        cursor.execute(statements.CHANGE, values)
    seat.state, seat.reserved_until, seat.changed_at = state, None, now
    _record(seat, profile, before=before)


def _release(seat: Seat, profile: UserProfile, *, actor: str = audit.SYSTEM, reason: str = "") -> None:
    before = {"state": seat.state, "instance": seat.instance.slug}
    now = clock.now()
    with connection.cursor() as cursor:
        cursor.execute(statements.RELEASE, {"seat": seat.pk, "now": now})
    seat.state, seat.reserved_until, seat.released_at, seat.changed_at = (
        Seat.State.RELEASED,
        None,
        now,
        now,
    )
    _record(seat, profile, before=before, actor=actor, reason=reason)
    offer_later(seat.product_id)


def _record(
    seat: Seat, profile: UserProfile, *, before: dict[str, Any], actor: str = audit.SYSTEM, reason: str = ""
) -> None:
    after = {"state": str(seat.state), "instance": seat.instance.slug}
    audit.record(
        subject=profile.subject,
        action=AuditAction(f"seat_{seat.state}"),
        actor=actor,
        reason=reason,
        before=before,
        after=after,
    )


def _start_waiting(profile: UserProfile, product: Product) -> None:
    _, new = SeatWait.objects.get_or_create(profile=profile, product=product, defaults={"since": clock.now()})
    if new:
        audit.record(subject=profile.subject, action=AuditAction.SEAT_WAITING, after={"product": product.slug})


def owed(waits: QuerySet[SeatWait]) -> QuerySet[Any]:
    """Those of them who get the next seats: without subscribers whose access has been withheld."""
    # One by one: a join would tempt Postgres to read everybody who has access.
    state = UserProfile.objects.filter(pk=OuterRef("profile_id")).values("access_state")
    return waits.annotate(access_now=Subquery(state)).filter(access_now__in=WAITING_STATES)


def waiting_line(product_id: int) -> QuerySet[Any]:
    """Who waits for a product's seats and gets the next, longest first."""
    return owed(SeatWait.objects.filter(product=product_id)).order_by("since", "id")


def offer_later(product_id: int) -> None:
    """After commit, offer free seats to those who have waited longest."""
    transaction.on_commit(partial(_offer, product_id))


def next_in_line(product_id: int) -> list[int]:
    """The waiting subscribers for whom there is a free seat now, longest first; at most MAX_OFFERS."""
    with connection.cursor() as cursor:
        cursor.execute(
            statements.FREE,
            {"product": product_id},
        )
        free = min(int(cursor.fetchone()[0] or 0), MAX_OFFERS)
    return list(waiting_line(product_id).values_list("profile_id", flat=True)[:free]) if free else []


def products_in_line() -> list[int]:
    """The products for whose seats somebody waits."""
    return list(SeatWait.objects.order_by("product_id").values_list("product_id", flat=True).distinct())


def _offer(product_id: int) -> None:
    """Call the hooks for as many waiting subscribers as there are free seats."""
    for profile_id in next_in_line(product_id):
        for hook in on_freed:
            hook(profile_id)
