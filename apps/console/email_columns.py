"""What has become of an email, as a list or a table shows it: far from arriving in red, and why in plain words."""

from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.console.columns import state_badge
from apps.notifications.models import Notification
from apps.notifications.reasons import explain, explain_refusal


def show_outcome(row: Notification) -> SafeString:
    """What the other mail server said of it, else how far we came with it; and why it did not arrive."""
    label = state_badge(row, "delivery" if row.delivery else "state")
    why = explain(row.delivery, row.delivery_reason) or explain_refusal(row.error)
    return format_html('{} <span class="fd-quiet">{}</span>', label, why) if why else label
