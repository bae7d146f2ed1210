"""Who has to be reconciled when something changed in another app: the only place where a change is mapped to a subscriber."""

from apps.access import reconcile, unwarned
from apps.accounts.models import UserProfile
from apps.instances import allocation


def register() -> None:
    """Listen to billing, identity and instances."""
    from apps.billing import mirror
    from apps.identity import passwords
    from apps.notifications import delivery, mail

    delivery.on_unreachable.append(unwarned.report)
    passwords.on_sent.append(mail.record_keycloak_email)
    mirror.on_customer.append(customer_changed)
    allocation.on_freed.append(seat_freed)


def customer_changed(profile: UserProfile) -> None:
    """Billing has written this subscriber's subscriptions."""
    reconcile.enqueue(profile, reason="subscription mirrored")


def seat_freed(profile_id: int) -> None:
    """There is room again for the subscriber who has waited longest."""
    reconcile.enqueue(UserProfile.objects.get(pk=profile_id), reason="a seat was freed")
