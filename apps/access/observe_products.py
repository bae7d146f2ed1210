"""Observes what was ordered for one subscriber in products: our own rows, no call."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from django.db.models import Exists, FilteredRelation, OuterRef, Q

from apps.access.plan_products import ObservedProduct
from apps.accounts.models import UserProfile
from apps.core import clock
from apps.instances.models import ProductAccount, Provisioning, Seat
from apps.instances.provisioning import accounts
from apps.instances.provisioning.connections import label_of

OTHER_ID = "other id"  # open for a Keycloak account that the person no longer has
SITS = (Seat.State.ASSIGNED, Seat.State.RETAINED)
COLUMNS = {
    "product": "instance__product__slug",
    "instance": "instance__slug",
    "kind": "kind",
    "quota_grant": "quota_grant",
    "keep_days": "keep_days",
    "state": "account__state",
    "quota": "account__quota",
    "delete_at": "account__delete_at",
    "user_id": "account__user_id",
    "pk": "account__pk",
    "sits": "sits",
}
Row = dict[str, Any]
LIVE, GONE = (ProductAccount.State.OPEN, ProductAccount.State.SUSPENDED), ProductAccount.State.DELETED


def read_products(profile: UserProfile) -> tuple[ObservedProduct, ...]:
    """The instances that take orders and where the person has a seat or an account; one query, and some more where one is to go.

    Where their Keycloak account is another one by now, also each account of a former one that is still to be deleted.
    """
    seated = Seat.objects.filter(profile=profile).exclude(state=Seat.State.RELEASED).values("instance")
    theirs = ProductAccount.objects.filter(profile=profile).values("instance")
    account = FilteredRelation("instance__product_accounts", condition=Q(instance__product_accounts__profile=profile))
    sits = Seat.objects.filter(profile=profile, instance=OuterRef("instance"), state__in=SITS)
    found = Provisioning.objects.filter(Q(instance__in=seated) | Q(instance__in=theirs))
    found = found.annotate(account=account, sits=Exists(sits))
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in found.values_list(*COLUMNS.values())]
    over = {row["pk"] for row in rows if row["delete_at"] and row["delete_at"] <= clock.now()}
    if over and accounts.is_kept(profile):
        over = set()
    return tuple(
        _observed(row, profile.keycloak_id, is_over=row["pk"] in over) for row in _sorted_out(rows, profile.keycloak_id)
    )


def _sorted_out(rows: list[Row], keycloak_id: str | None) -> Iterator[Row]:
    """For each instance its one account, or none; then those of another login that are not deleted yet."""
    places: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        places[row["instance"]].append(row | {"is_former": False})
    for here in places.values():
        nothing = here[0] | dict.fromkeys(("pk", "state", "quota", "user_id"))
        same = [row for row in here if row["user_id"] == keycloak_id]
        current = next(iter(same or [row for row in here if row["state"] in LIVE]), nothing)
        yield current
        for row in here:
            if row is not current and row["state"] not in (None, GONE):
                yield row | {"is_former": True}


def _observed(row: Row, keycloak_id: str | None, *, is_over: bool) -> ObservedProduct:
    is_others = row["state"] == ProductAccount.State.OPEN and row["user_id"] != keycloak_id
    return ObservedProduct(
        product=row["product"],
        instance=row["instance"],
        label=label_of(row["kind"]),
        quota_grant=row["quota_grant"],
        keep_days=row["keep_days"],
        state=OTHER_ID if is_others else row["state"] or "",
        quota=row["quota"],
        is_over=is_over,
        may_be_there=bool(keycloak_id and row["sits"]),
        user_id=row["user_id"] or "",
        is_former=row["is_former"],
    )
