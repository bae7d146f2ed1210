"""Observes what was ordered for one subscriber in products: our own rows, no call."""

from typing import Any

from django.db.models import FilteredRelation, Q

from apps.access import freezes
from apps.access.plan_products import ObservedProduct
from apps.accounts.models import UserProfile
from apps.core import clock
from apps.instances.models import ProductAccount, Provisioning, Seat
from apps.instances.provisioning.connections import label_of

OTHER_ID = "other id"  # open for a Keycloak account that the person no longer has
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
}


def read_products(profile: UserProfile) -> tuple[ObservedProduct, ...]:
    """The instances that take orders and where the person has a seat or an account; one query, and two where an account is to go."""
    seated = Seat.objects.filter(profile=profile).exclude(state=Seat.State.RELEASED).values("instance")
    theirs = ProductAccount.objects.filter(profile=profile).values("instance")
    account = FilteredRelation("instance__product_accounts", condition=Q(instance__product_accounts__profile=profile))
    found = Provisioning.objects.filter(Q(instance__in=seated) | Q(instance__in=theirs)).annotate(account=account)
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in found.values_list(*COLUMNS.values())]
    over = [row for row in rows if row["delete_at"] and row["delete_at"] <= clock.now()]
    if over and freezes.read_freeze(profile):
        over = []  # incident mode deletes nothing
    return tuple(_observed(row, profile.keycloak_id, is_over=row in over) for row in rows)


def _observed(row: dict[str, Any], keycloak_id: str | None, *, is_over: bool) -> ObservedProduct:
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
    )
