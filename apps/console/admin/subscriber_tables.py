"""The tables of the subscriber's page: what there is of each kind, newest first, each bounded. Nothing secret."""

from functools import reduce
from operator import add
from typing import Any

from django.db.models import QuerySet, Value
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.access.models import AccessOverride
from apps.accounts.models import StaffNote, UserProfile
from apps.billing.models import InboundEvent, UserSubscriptionItem
from apps.billing.overview import line_name
from apps.console.admin import memberships, subscriber_billing, subscriber_privacy_tab
from apps.console.columns import badge, describe_actor, dialog_link, link, seat_until, state_badge, timed
from apps.console.email_columns import show_outcome
from apps.console.job_people import SUBSCRIBER_KINDS
from apps.console.outside import stripe_link
from apps.console.tables import May, Table, TableTab
from apps.core import clock, jobs
from apps.core.addresses import shown_email
from apps.core.counting import CountUpTo
from apps.core.models import Job
from apps.core.money import describe_period, format_money
from apps.core.states import Tone
from apps.instances.models import Seat, SeatWait
from apps.notifications.email_list import email_title
from apps.notifications.mail import of_person
from apps.notifications.models import Notification

ROWS = 20
NOTES = 200  # they have no list of their own


def count_rows(profile: UserProfile) -> dict[str, int]:
    """How many rows each tab has, at most ROWS of each kind. One query."""
    counts: list[Any] = [
        reduce(add, (CountUpTo(rows, ROWS) for rows in tab.sources(profile)), Value(0)) for tab in TABS
    ]
    found = UserProfile.objects.filter(pk=profile.pk).values_list(*counts).get()
    return dict(zip((tab.key for tab in TABS), found, strict=True))


def _price_text(item: UserSubscriptionItem) -> str:
    """What a line costs per period: €9 / month, – / month where it depends on the use."""
    total = None if item.unit_amount is None else item.unit_amount * item.quantity
    return f"{format_money(total, item.currency)} / {describe_period(item.interval, item.interval_count)}"


def _lines(profile: UserProfile) -> list[QuerySet[Any]]:
    return [UserSubscriptionItem.objects.filter(profile=profile)]


def _read_lines(profile: UserProfile, _may: May) -> Table:
    (lines,) = _lines(profile)
    rows = lines.select_related("product", "subscription").order_by("-pk")
    return Table(
        ("Product", "Price", "Status", "Period ends", "Ends", "Subscription"),
        tuple(
            (
                line_name(row.quantity, row.product.name if row.product else None, row.stripe_price_id),
                _price_text(row),
                state_badge(row.subscription, "status"),
                timed(row.current_period_end),
                timed(row.subscription.cancel_at or row.subscription.ended_at),
                stripe_link("subscription", row.subscription.stripe_id),
            )
            for row in rows[:ROWS]
        ),
        "No subscription lines: this subscriber pays for nothing.",
    )


def _seats(profile: UserProfile) -> list[QuerySet[Any]]:
    return [SeatWait.objects.filter(profile=profile), Seat.objects.filter(profile=profile)]


def _read_seats(profile: UserProfile, may: May) -> Table:
    waits, seats = _seats(profile)
    rows = seats.select_related("product", "instance").order_by("-pk")[:ROWS]
    waiting = [
        (wait.product.name, "none has room", badge("Waiting", Tone.BUSY), timed(wait.since), "–", "–")
        for wait in waits.select_related("product").order_by("since")[:ROWS]
    ]
    found = [
        (
            row.product.name,
            link(row.instance),
            state_badge(row),
            timed(row.created_at),
            timed(row.released_at) if row.released_at else seat_until(row),
            _seat_links(row, may("allocate_seat") and row.state != Seat.State.RELEASED),
        )
        for row in rows
    ]
    return Table(
        ("Product", "Instance", "State", "Since", "Until", "Seat"),
        (*waiting, *found),
        "No seats yet.",
    )


def _seat_links(seat: Seat, may_change: bool) -> SafeString:
    """What can be done with a seat from the subscriber's page."""
    if not may_change:
        return link(seat, "open")
    links = (
        dialog_link(
            reverse(f"admin:instances_seat_{name}", args=[seat.pk]), name, f"{name} the seat on {seat.instance}"
        )
        for name in ("move", "release")
    )
    return format_html('<span class="fd-links">{} {}</span>', *links)


def is_active(override: AccessOverride) -> bool:
    return not override.lifted_at and not (override.ends_at and override.ends_at <= clock.now())


def override_badge(override: AccessOverride) -> SafeString:
    if is_active(override):
        return badge("Active", Tone.GOOD)
    return badge("Lifted" if override.lifted_at else "Ended")


def _overrides(profile: UserProfile) -> list[QuerySet[Any]]:
    return [AccessOverride.objects.filter(profile=profile)]


def _read_overrides(profile: UserProfile, may: May) -> Table:
    (overrides,) = _overrides(profile)
    rows = overrides.prefetch_related("products").order_by("-pk")[:ROWS]
    return Table(
        ("Override", "Status", "Products", "Until", "By", "Why", ""),
        tuple(
            (
                state_badge(row, "kind"),
                override_badge(row),
                ", ".join(product.name for product in row.products.all()) or "–",
                timed(row.ends_at, is_end=True) if row.ends_at else "no end date",
                describe_actor(row.created_by),
                row.reason,
                _override_links(row, may("override_access") and is_active(row)),
            )
            for row in rows
        ),
        "No overrides: billing alone decides.",
    )


def _override_links(row: AccessOverride, may_lift: bool) -> SafeString:
    """An override's page, and the dialog that ends an active one."""
    if not may_lift:
        return link(row, "open")
    lift = dialog_link(
        reverse("admin:access_accessoverride_lift", args=[row.pk]), "lift", f"lift the {row.kind.replace('_', ' ')}"
    )
    return format_html('<span class="fd-links">{} {}</span>', lift, link(row, "open"))


def _emails(profile: UserProfile) -> list[QuerySet[Any]]:
    return [Notification.objects.filter(of_person(profile))]


def _read_emails(profile: UserProfile, _may: May) -> Table:
    (emails,) = _emails(profile)
    rows = emails.defer("context").order_by("-pk")[:ROWS]
    return Table(
        ("Email", "What became of it", "To", "Requested", "Sent"),
        tuple(
            (
                link(row, f"{email_title(row.template)}{' (again)' if row.repeats_id else ''}"),
                show_outcome(row),
                shown_email(row.to),
                timed(row.created_at),
                timed(row.sent_at),
            )
            for row in rows
        ),
        "No emails.",
        f"{reverse('admin:notifications_notification_changelist')}?person={profile.pk}",
    )


def _notes(profile: UserProfile) -> list[QuerySet[Any]]:
    return [StaffNote.objects.filter(profile=profile)]


def _read_notes(profile: UserProfile, may: May) -> Table:
    (notes,) = _notes(profile)
    write = reverse("admin:accounts_userprofile_write_note", args=[profile.pk])
    return Table(
        ("Note", "By", "Written"),
        tuple(
            (format_html('<span class="fd-note">{}</span>', row.text), row.written_by, timed(row.written_at))
            for row in notes.order_by("-pk")[:NOTES]
        ),
        "No notes. Leave one for the colleague who answers next." if may("write_note") else "No notes.",
        actions=(dialog_link(write, "Write a note", f"write a note about {profile}"),) if may("write_note") else (),
    )


def _events(profile: UserProfile) -> list[QuerySet[Any]]:
    customer = profile.stripe_customer_id  # some events have no customer
    return [InboundEvent.objects.filter(customer_id=customer)] if customer else []


def _read_events(profile: UserProfile, _may: May) -> Table:
    customer = profile.stripe_customer_id
    rows = [row for events in _events(profile) for row in events.defer("body").order_by("-pk")[:ROWS]]
    return Table(
        ("Event", "State", "Object", "Received", "Handled"),
        tuple(
            (
                link(row, row.type),
                state_badge(row),
                row.object_id,
                timed(row.received_at),
                timed(row.handled_at),
            )
            for row in rows
        ),
        "No Stripe events for this customer.",
        f"{reverse('admin:billing_inboundevent_changelist')}?q={customer}" if customer else "",
    )


def _jobs(profile: UserProfile) -> list[QuerySet[Any]]:
    return [Job.objects.filter(kind__in=SUBSCRIBER_KINDS, key=str(profile.pk))]


def _read_jobs(profile: UserProfile, _may: May) -> Table:
    (found,) = _jobs(profile)
    rows = found.order_by("-id")[:ROWS]
    return Table(
        ("Job", "State", "Tries", "Requested by", "Last error", "Started"),
        tuple(
            (
                link(row, jobs.kind_label(row.kind)),
                state_badge(row),
                row.attempts,
                row.reason,
                row.last_error or "–",
                timed(row.started_at),
            )
            for row in rows
        ),
        "No jobs.",
    )


TABS = (
    TableTab("billing", "Billing", subscriber_billing.sources, subscriber_billing.read_billing),
    TableTab("lines", "Subscription", _lines, _read_lines),
    TableTab("people", "People", memberships.sources, memberships.read_people),
    TableTab("seats", "Seats", _seats, _read_seats),
    TableTab("overrides", "Overrides", _overrides, _read_overrides),
    TableTab("mails", "Emails", _emails, _read_emails),
    TableTab("notes", "Notes", _notes, _read_notes),
    TableTab("events", "Events", _events, _read_events),
    TableTab("jobs", "Jobs", _jobs, _read_jobs),
    TableTab("privacy", "Privacy", subscriber_privacy_tab.sources, subscriber_privacy_tab.read_privacy),
)
