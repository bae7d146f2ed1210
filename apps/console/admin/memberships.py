"""Who pays for whom: each invitation and membership, and ending one. The same rows are a tab of the subscriber's page."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from apps.access import memberships
from apps.accounts.models import Membership, UserProfile
from apps.console.base import ConsoleAdmin
from apps.console.columns import badge, dialog_link, link, link_column, state_badge, time_column, timed
from apps.console.dialogs import ReasonDialog, dialog, dialog_action
from apps.console.saved_views import SavedView
from apps.console.tables import May, Table
from apps.core.addresses import shown_email
from apps.core.states import Tone

ROWS = 20
RIGHT = "override_access"
VIEWS = (
    SavedView("members", "Members", lambda rows: rows.filter(accepted_at__isnull=False, ended_at=None)),
    SavedView("invited", "Invited", lambda rows: rows.filter(accepted_at=None, ended_at=None)),
    SavedView("ended", "Ended", lambda rows: rows.exclude(ended_at=None)),
)


def membership_badge(row: Membership) -> SafeString:
    """Invited, a member, or how it ended."""
    if row.ended_at:
        return state_badge(row, "end")
    return badge("Member", Tone.GOOD) if row.accepted_at else badge("Invited", Tone.BUSY)


@admin.register(Membership)
class MembershipAdmin(ConsoleAdmin):
    list_display = ("what", "payer_link", "member_link", "status", "invited", "joined", "ended")
    list_filter = (("end", ChoicesDropdownFilter),)
    list_select_related = ("payer__user", "member__user")
    views = VIEWS
    search_by: ClassVar[dict[str, str]] = {"people": "payer", "number": "pk", "email": "email__iexact"}
    search_help_text = "Who pays: username, email or cus_…; or the invited address"
    actions_detail: ClassVar[Any] = ["end_membership"]
    fields = ("payer_link", "member_link", "status", ("invited", "joined", "terms_version"), ("ended", "paid_until"))

    payer_link = link_column("payer", "Who pays")
    invited = time_column("invited_at", "Invited")
    joined = time_column("accepted_at", "Joined")
    ended = time_column("ended_at", "Ended")

    @admin.display(description="Membership", ordering="pk")
    def what(self, row: Membership) -> str:
        return str(row).capitalize()

    @admin.display(description="Member")
    def member_link(self, row: Membership) -> str:
        """The member; of an invitation the address it went to."""
        return link(row.member) if row.member else shown_email(row.email) or "–"

    @admin.display(description="State")
    def status(self, row: Membership) -> SafeString:
        return membership_badge(row)

    @dialog_action(
        title="End membership", permission=RIGHT, form=dialog(Membership), icon="person_remove",
        explain="The member loses access, as if their own subscription had ended: their data is kept for the usual time, and they"
        " are told. An invitation stops working.",
        refuse=lambda row: "It is over already." if row.ended_at else "",
    )  # fmt: skip
    def end_membership(self, _request: HttpRequest, form: ReasonDialog) -> str:
        memberships.end(form.target, Membership.End.STAFF, **form.why)
        return f"Membership {form.target.pk} is over."


# --- the tab of the subscriber's page ---------------------------------------------------------------------------------


def sources(profile: UserProfile) -> list[QuerySet[Any]]:
    """What the tab counts."""
    return [Membership.objects.filter(Q(payer=profile) | Q(member=profile))]


def read_people(profile: UserProfile, may: May) -> Table:
    """Who pays for this subscriber, and for whom they pay; the open ones first."""
    (found,) = sources(profile)
    rows = found.select_related("payer__user", "member__user").order_by(
        "-ended_at", "-pk"
    )  # nulls, the open ones, come first
    return Table(
        ("Who pays", "Member", "State", "Invited", "Joined", "Ended", ""),
        tuple(
            (
                link(row.payer),
                link(row.member) if row.member else shown_email(row.email),
                membership_badge(row),
                timed(row.invited_at),
                timed(row.accepted_at),
                timed(row.ended_at),
                _last(row, may),
            )
            for row in rows[:ROWS]
        ),
        "Nobody shares this subscription, and nobody pays for this subscriber.",
    )


def _last(row: Membership, may: May) -> SafeString:
    if row.ended_at or not may(RIGHT):
        return link(row, "open")
    url = reverse("admin:accounts_membership_end_membership", args=[row.pk])
    return dialog_link(url, "end", f"End membership {row.pk}")
