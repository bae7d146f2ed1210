"""What the console's templates need: moments and durations in short, badges, and the difference a timeline line made."""

from typing import Any
from urllib.parse import urlencode

from django import template
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps.console import columns, inbox, manual, navigation, outside, timeline, viewing
from apps.console.empty_lists import Emptiness, describe_emptiness
from apps.console.menu_counts import COUNTED
from apps.console.saved_views import count_text
from apps.core import attention, audit_actions, jobs, reason_sentences
from apps.core.addresses import shown_email
from apps.core.models import AuditEntry
from apps.core.reasons import Reason
from apps.login.browsers import name_browser

register = template.Library()


@register.inclusion_tag("console/viewing_banner.html", takes_context=True)
def viewing_banner(context: Any) -> dict[str, Any]:
    """That somebody looks at the console as a role, and the way out."""
    return {"role": viewing.role_viewed(context["request"]), "csrf_token": context.get("csrf_token")}


@register.inclusion_tag("console/incident_banner.html")
def incident_banner() -> dict[str, Any]:
    """What incident mode freezes now and how much it holds back; nothing while it is off. The menu's kept counts: no query."""
    counts = COUNTED.get()
    return {"incidents": counts.incidents, "held_back": counts.held_back}


@register.filter
def reason_sentence(reason: Reason | None) -> str:
    """What the subscriber is told about their access."""
    return reason_sentences.reason_sentence(reason) if reason else ""


@register.filter
def when(moment: Any) -> SafeString:
    """A moment in the reader's time zone, and how far it is from now."""
    return columns.timed(moment)


@register.filter
def when_over(moment: Any) -> SafeString:
    """When something ends, which may be the end of a day."""
    return columns.timed(moment, is_end=True)


@register.filter
def when_text(moment: Any) -> str:
    """A moment as plain text, for labels and documents."""
    return columns.when(moment)


@register.filter
def when_exactly(moment: Any) -> str:
    """A moment to the second, as plain text."""
    return columns.when(moment, seconds=True)


@register.simple_tag
def zone_name() -> str:
    """The time zone that the page is in."""
    return timezone.get_current_timezone_name()


@register.filter
def browser(user_agent: str) -> str:
    """What a user agent is, in a few words."""
    return name_browser(user_agent)


@register.filter
def address(email: str) -> str:
    """A stored email address as its owner writes it."""
    return shown_email(email)


@register.filter
def duration(seconds: float) -> str:
    """Seconds as 45 s, 12 min, 3 h or 2 days."""
    for size, unit in ((172_800, ""), (7_200, "h"), (120, "min")):
        if seconds >= size:
            return (
                f"{int(seconds // 86_400)} days"
                if not unit
                else f"{int(seconds // (3_600 if unit == 'h' else 60))} {unit}"
            )
    return f"{int(seconds)} s"


@register.filter
def counted(count: int) -> str:
    """A count that may have stopped at the most that is counted."""
    return count_text(count)


@register.filter
def action_label(action: str) -> str:
    """An audit action as staff read it."""
    return audit_actions.action_label(action)


@register.filter
def cause_label(cause: str) -> str:
    """What kind of thing needs staff."""
    return attention.cause_label(cause)


@register.filter
def staff_name(actor: str) -> str:
    """Who did it, in words."""
    return columns.describe_actor(actor)


@register.filter
def page_link(row: Any) -> SafeString:
    """A row by its name, linked to its page."""
    return columns.link(row)


@register.filter
def reason_linked(line: str) -> SafeString:
    """A line of why the policy decided so, with a link to the subscription that it is about."""
    return outside.link_reason(line)


@register.filter
def kind_label(kind: str) -> str:
    """A kind of job as staff read it."""
    return jobs.kind_label(kind)


@register.filter
def words(name: str) -> str:
    """A name from the code as words: seat_moved becomes Seat moved."""
    return name.replace("_", " ").replace(".", ": ").capitalize()


@register.simple_tag
def badge(text: str, tone: str = "calm") -> SafeString:
    return columns.badge(text, tone)


@register.simple_tag
def state_badge(row: Any, field: str = "state") -> SafeString:
    return columns.state_badge(row, field)


@register.simple_tag
def dialog_link(name: str, text: str) -> SafeString:
    """A link that opens the dialog of that name over the page."""
    return columns.dialog_link(reverse(name), text, text)


@register.simple_tag
def problem_link(card: Any, action: str, text: str) -> SafeString:
    """A link that opens a dialog about a problem of the inbox."""
    url = f"{reverse(f'admin:core_attentionitem_{action}')}?{urlencode({inbox.NAME: card.problem.name})}"
    return columns.dialog_link(url, text, f"{text}: {card.title}")


@register.simple_tag
def plan_link(product: Any) -> SafeString:
    """A link that opens the plan by which a product's instances would be evened out."""
    url = reverse("admin:catalog_product_rebalance", args=[product.id])
    return columns.dialog_link(url, "Rebalance…", f"Rebalance {product.name}")


@register.simple_tag(takes_context=True)
def page_tabs(context: Any) -> list[dict[str, Any]]:
    """The pages beside the one that is open."""
    return navigation.page_tabs(context["request"])


@register.simple_tag(takes_context=True)
def about_this_page(context: Any) -> tuple[str, str] | None:
    """Title and address of what the manual says about the page that is open."""
    return manual.about(context["request"])


@register.filter
def runbook(anchor: str) -> str:
    """Where the manual says what to do about a cause of attention."""
    return manual.runbook_url(anchor)


@register.simple_tag
def emptiness(changelist: Any) -> Emptiness:
    """What an empty list says."""
    return describe_emptiness(changelist)


@register.simple_tag(takes_context=True)
def menu_keys(context: Any) -> list[tuple[str, str, str]]:
    """Which keys lead where."""
    return navigation.shortcuts(context["request"])


@register.simple_tag
def subject(entry: AuditEntry) -> SafeString:
    """Whom a timeline line is about, linked where there is a page."""
    text, url = timeline.subject_of(entry)
    return format_html('<a class="fd-link" href="{}">{}</a>', url, text) if url else format_html("{}", text)


@register.simple_tag
def changes(entry: AuditEntry) -> SafeString:
    """What a timeline line changed, value by value."""
    lines = timeline.differences(entry)
    if not lines:
        return SafeString("")
    return format_html(
        '<ul class="fd-changes">{}</ul>',
        format_html_join("", "<li><span>{}</span> {} → <b>{}</b></li>", lines),
    )
