"""Outages: when Stripe, Keycloak, Mailgun or the database did not answer, what waited for them, and which events came late."""

import datetime as dt
from typing import Any, ClassVar, override

from django.contrib import admin
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.billing.models import InboundEvent
from apps.console.base import ConsoleAdmin
from apps.console.columns import badge, time_column, when
from apps.console.filters import DropdownOf
from apps.console.saved_views import COUNT_LIMIT, SavedView, count_text
from apps.core import clock, outages
from apps.core.jobs import kind_label
from apps.core.models import Outage
from apps.core.states import Tone

LATE_WITHIN = dt.timedelta(days=3)  # Stripe repeats an event for so long


class PeerFilter(DropdownOf):
    """By the system that did not answer."""

    title, parameter_name = "system", "peer"
    options = (("stripe", "Stripe"), ("keycloak", "Keycloak"), ("mailgun", "Mailgun"), ("postgres", "Postgres"))

    @override
    def narrow(self, rows: Any, value: str) -> Any:
        return rows.filter(peer=value)


def read_waiting(row: Outage) -> dict[str, int]:
    """What waits now, or waited when it ended; the most first."""
    found = row.waited if row.ended_at else outages.count_waiting(row.peer)
    return dict(sorted(found.items(), key=lambda one: (-one[1], one[0])))


def count_late_events(row: Outage) -> int:
    """Events that Stripe made during the outage and we got after it; counted up to COUNT_LIMIT."""
    if row.ended_at is None:
        return 0
    after = InboundEvent.objects.filter(received_at__gte=row.ended_at, received_at__lt=row.ended_at + LATE_WITHIN)
    late = after.filter(stripe_created_at__gte=row.began_at, stripe_created_at__lt=row.ended_at)
    return late.order_by()[:COUNT_LIMIT].count()


@admin.register(Outage)
class OutageAdmin(ConsoleAdmin):
    """The newest first."""

    few = True
    list_display = ("system", "status", "began", "ended", "lasted", "jobs", "reason")
    list_filter = (PeerFilter,)
    views = (SavedView("now", "Now", lambda rows: rows.filter(ended_at=None)),)
    search_by: ClassVar[dict[str, str]] = {"number": "pk", "text": "reason__icontains"}
    search_help_text = "Number, or how it was noticed"
    fields = (("system", "status"), ("began", "ended", "lasted"), "reason", "waiting", "late")

    began = time_column("began_at", "From")
    ended = time_column("ended_at", "To")

    @admin.display(description="System", ordering="peer")
    def system(self, row: Outage) -> str:
        return row.peer.capitalize()

    @admin.display(description="State")
    def status(self, row: Outage) -> SafeString:
        return badge("Over", Tone.CALM) if row.ended_at else badge("Does not answer", Tone.BAD)

    @admin.display(description="Lasted")
    def lasted(self, row: Outage) -> str:
        seconds = int(((row.ended_at or clock.now()) - row.began_at).total_seconds())
        hours, minutes = divmod(max(0, seconds) // 60, 60)
        return f"{hours} h {minutes} min" if hours else f"{minutes} min" if minutes else f"{seconds} s"

    @admin.display(description="Jobs that waited")
    def jobs(self, row: Outage) -> str:
        """Of one that is over; what waits now is on its page."""
        return f"{sum(row.waited.values()):,}" if row.ended_at else "see its page"

    @admin.display(description="Jobs that waited")
    def waiting(self, row: Outage) -> str:
        """By kind."""
        return ", ".join(f"{count:,} × {kind_label(kind)}" for kind, count in read_waiting(row).items()) or "none"

    @admin.display(description="Events that came late")
    def late(self, row: Outage) -> SafeString:
        if row.ended_at is None:
            return SafeString("counted once it is over")
        count = count_text(count_late_events(row))
        return format_html("{} made at Stripe before {}, received after it", count, when(row.ended_at))
