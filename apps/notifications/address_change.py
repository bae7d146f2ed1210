"""A subscriber has another address: both are told, and what was known of the former one is forgotten."""

from django.db import transaction

from apps.accounts.models import UserProfile
from apps.core import clock
from apps.notifications.delivery import check_address
from apps.notifications.mail import notify


@transaction.atomic
def address_changed(profile: UserProfile, *, former: str, object_url: str = "") -> None:
    """Call it once the new address is written, with the former one. To that, nobody's name is sent: it may be a stranger's.

    `object_url`: where who reads the former one can undo it.
    """
    profile.refresh_from_db(fields=["email"])
    check_address(profile.pk)
    if former.casefold() == profile.email.casefold():
        return
    about = f"{profile.pk}:{clock.now().timestamp():.6f}"  # each change has its emails, also the second one of a second
    undo = {"object_url": object_url} if object_url else {}
    notify(key=f"address_removed:{about}", template="address_removed", to=former, profile=profile, context=undo)
    notify(
        key=f"address_changed:{about}", template="address_changed", to=profile.email, profile=profile,
        context={"first_name": profile.user.first_name},
    )  # fmt: skip
