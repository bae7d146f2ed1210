"""The privacy tab of the subscriber's page: what the person asked for, and whose dispute keeps their data."""

from typing import Any

from django.db.models import QuerySet
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.accounts.erasers import is_erased
from apps.accounts.models import LegalHold, PrivacyRequest, UserProfile
from apps.console.columns import badge, dialog_link, link, state_badge, timed
from apps.console.tables import May, Table
from apps.core.states import Tone

ROWS = 20


def sources(profile: UserProfile) -> list[QuerySet[Any]]:
    """What the tab counts."""
    return [PrivacyRequest.objects.filter(profile=profile), LegalHold.objects.filter(profile=profile)]


def read_privacy(profile: UserProfile, may: May) -> Table:
    """Legal holds first: they decide whether anything may be erased."""
    requests, holds = sources(profile)
    rows = [
        *(_hold(row, may) for row in holds.order_by("-pk")[:ROWS]),
        *(_request(row, may) for row in requests.order_by("-pk")[:ROWS]),
    ]
    return Table(
        ("What", "State", "Since", "Due", "By", "Why", ""),
        tuple(rows),
        "No privacy requests and no legal holds.",
        actions=tuple(_documents(profile, may)),
    )


def _documents(profile: UserProfile, may: May) -> list[SafeString]:
    found = []
    if may("export_person"):
        found.append(("Export personal data", reverse("admin:accounts_userprofile_personal_data", args=[profile.pk])))
    if is_erased(profile):
        found.append(("Receipt of the erasure", reverse("admin:accounts_userprofile_receipt", args=[profile.pk])))
    return [format_html('<a class="fd-link" href="{}">{}</a>', url, text) for text, url in found]


def _hold(row: LegalHold, may: May) -> tuple[Any, ...]:
    state = badge("Ended") if row.ended_at else badge("In force", Tone.WARN)
    done = row.ended_at or not may("set_legal_hold")
    last = (
        link(row, "open")
        if done
        else dialog_link(reverse("admin:accounts_legalhold_end_hold", args=[row.pk]), "end", "End the legal hold")
    )
    return "Legal hold", state, timed(row.set_at), "–", row.set_by, row.reason, last


def _request(row: PrivacyRequest, may: May) -> tuple[Any, ...]:
    done = row.state != PrivacyRequest.State.OPEN or not may("record_privacy_request")
    close = reverse("admin:accounts_privacyrequest_close_request", args=[row.pk])
    last = link(row, "open") if done else dialog_link(close, "close", "Close the request")
    due = f"{row.due_on:%-d %b %Y}"
    return row.get_kind_display(), state_badge(row), f"{row.received_on:%-d %b %Y}", due, row.opened_by, row.note, last
