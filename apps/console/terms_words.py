"""Terms as names and values for a person."""

from typing import Any

from apps.access.models import TermsChange
from apps.access.policy_facts import Terms


def scope_of(row: Any) -> str:
    """For whom a change or its preview is, in words."""
    return str(row.profile or row.product or "everybody")


def columns_of(found: Terms) -> dict[str, Any]:
    """Terms as the columns of a change."""
    return {
        "grace_days": found.grace.days,
        "recovery_hours": int(found.recovery.total_seconds()) // 3600,
        "expiry_days": found.expiry.days,
        "paused_collection": "close" if found.paused_closes else "keep",
        "lost_dispute": "suspend" if found.lost_dispute_closes else "flag",
        "payment_attempts": found.payment_attempts,
    }


def describe_terms(found: Terms) -> list[tuple[str, str]]:
    """Terms in force."""
    return describe_terms_change(TermsChange(**columns_of(found)))


def describe_terms_change(row: TermsChange) -> list[tuple[str, str]]:
    """What a change says."""
    texts = {
        "Grace": row.grace_days is not None and f"{row.grace_days} days",
        "Recovery window": row.recovery_hours is not None and f"{row.recovery_hours} hours",
        "Final expiry": row.expiry_days is not None and f"{row.expiry_days} days",
        "Paused collection": row.paused_collection and row.get_paused_collection_display(),
        "Lost dispute": row.lost_dispute and row.get_lost_dispute_display(),
        "Payment attempts": row.payment_attempts and str(row.payment_attempts),
    }
    return [(name, str(text)) for name, text in texts.items() if text]
