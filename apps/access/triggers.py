"""Who has to be reconciled when something changed in another app: the only place where a change is mapped to a subscriber."""

from apps.access import announcements, freezes, memberships, reconcile, unwarned
from apps.accounts.models import UserProfile
from apps.instances import allocation
from apps.instances.provisioning import accounts as product_accounts


def register() -> None:
    """Listen to billing, identity and instances."""
    from apps.billing import mirror, payment_notes, second_subscription
    from apps.identity import passwords
    from apps.notifications import delivery, mail

    delivery.on_unreachable.append(unwarned.report)
    payment_notes.on_plan_changed.append(announcements.plan_changed)
    payment_notes.on_refunded.append(announcements.refunded)
    second_subscription.on_second.append(announcements.second_found)
    passwords.on_sent.append(mail.record_keycloak_email)
    mirror.on_customer.append(customer_changed)
    allocation.on_freed.append(seat_freed)
    product_accounts.KEEPERS.append(freezes.keeps_data)


def customer_changed(profile: UserProfile) -> None:
    """Billing has written this subscriber's subscriptions: also those for whom they pay may have something else now."""
    reconcile.enqueue(profile, reason="subscription mirrored")
    memberships.sync_later(profile, reason="subscription mirrored")


def seat_freed(profile_id: int) -> None:
    """There is room again for the subscriber who has waited longest."""
    reconcile.enqueue(UserProfile.objects.get(pk=profile_id), reason="a seat was freed")
