"""Recovery as staff see it: send a code, open or close recovery, keep the seat. Each shows the subscriber's current state.

The actions are a mixin of the subscriber's page. What they may do to whom is decided by access.recovery; here is refused
only what would do nothing: twice the same is once.
"""

import datetime as dt
from typing import Any, override

from django.conf import settings
from django.http import HttpRequest

from apps.access import overrides
from apps.access.facts import read_facts
from apps.access.policy import Decision, decide
from apps.accounts.models import UserProfile
from apps.console.columns import badge, when
from apps.console.dialogs import LastDayField, ReasonDialog, dialog_action
from apps.core import audit, clock, jobs
from apps.core.audit_actions import AuditAction
from apps.core.errors import BadInput
from apps.core.models import Job
from apps.core.states import AccessState
from apps.onboarding import recovery

CODE_PAUSE = dt.timedelta(minutes=1)  # between two codes that staff send to one person
OVER = "The time to come back is over, and the seat was released. They can sign up again."


class RecoveryDialog(ReasonDialog):
    """Shows the current state: access, the window, and until when the seat is kept."""

    model = UserProfile
    form_before_template = "console/dialogs/recovery.html"
    words = ""

    @override
    def get_before_template_context(self, request: HttpRequest, object_id: str | None = None) -> dict[str, Any]:
        """The facts, and the dialog's own words about what it does."""
        decision = decide(read_facts(self.target))
        return {
            "profile": self.target,
            "state": badge(decision.state.value, decision.state.label),
            "decision": decision,
            "window": window_of(self.target),
            "hours": settings.RECOVERY_WINDOW_HOURS,
            "words": self.words,
        }


class CodeDialog(RecoveryDialog):
    """Names the mailbox the code goes to."""

    words = "code"


class OpenRecoveryDialog(RecoveryDialog):
    """Says what an open window is."""

    words = "open"


class CloseRecoveryDialog(RecoveryDialog):
    """Says what becomes of the person."""

    words = "close"


class KeepSeatDialog(RecoveryDialog):
    """Asks for the day, which has to be later than the current one."""

    words = "keep"
    until = LastDayField(label="Keep the place until", help_text="The last day on which the subscriber can come back.")


def window_of(profile: UserProfile) -> dt.datetime | None:
    """Until when the way back in is open; None: it is closed."""
    until = profile.recovering_until
    return until if until and until > clock.now() else None


def recoverable(decision: Decision) -> bool:
    """Whether somebody could come back: their access ended by billing, and the time for it is not over."""
    return decision.state.is_recoverable


def senseless(profile: UserProfile) -> set[str]:
    """Those of the four actions that would do nothing for this person now."""
    decision = decide(read_facts(profile))
    window = window_of(profile)
    applies = {
        "send_code": recoverable(decision) or decision.state == AccessState.EXPIRED,  # then they can sign up again
        "open_window": recoverable(decision) and not window,
        "close_window": bool(window),
        "keep_seat": decision.final_expiry_at is not None and decision.state != AccessState.EXPIRED,
    }
    return {name for name, it_does in applies.items() if not it_does}


class RecoveryActions:
    """The four actions, for the subscriber's ModelAdmin."""

    @dialog_action(title="Send recovery code", permission="recover_accounts", form=CodeDialog, icon="forward_to_inbox")
    def send_code(self, _request: HttpRequest, form: CodeDialog) -> str:
        """Have a code mailed that opens /recovery/ in any browser."""
        profile = _locked(form)
        if not profile.keycloak_id:
            raise BadInput("There is no Keycloak account yet, so there is nothing to recover. Sync first.")
        sent = Job.objects.filter(kind=recovery.SEND_CODE, key=str(profile.pk), created_at__gt=clock.now() - CODE_PAUSE)
        if sent.exists():
            raise BadInput(f"A code has been sent to {profile} within the last minute. Wait for that one to arrive.")
        _record(form, AuditAction.RECOVERY_CODE_REQUESTED)
        jobs.defer(recovery.SEND_CODE, str(profile.pk), reason=f"asked by {form.actor}")
        return f"A recovery code is on its way to {profile}. It can be entered at {recovery.PAGE} in any browser."

    @dialog_action(
        title="Open recovery window", permission="recover_accounts", form=OpenRecoveryDialog, icon="lock_open"
    )
    def open_window(self, _request: HttpRequest, form: OpenRecoveryDialog) -> str:
        """Let them log in to pay."""
        profile = _locked(form)
        if until := window_of(profile):
            raise BadInput(f"Recovery is already open until {when(until)}.")
        until = recovery.open_window(profile, actor=form.actor, reason=form.cleaned_data["reason"])
        return f"{profile} can log in until {when(until)}; the apps stay closed until a payment arrives."

    @dialog_action(
        title="Close recovery window", permission="recover_accounts", form=CloseRecoveryDialog, icon="lock", danger=True
    )
    def close_window(self, _request: HttpRequest, form: CloseRecoveryDialog) -> str:
        """Close it before its time."""
        profile = _locked(form)
        recovery.close_window(profile, actor=form.actor, reason=form.cleaned_data["reason"])
        return f"Recovery of {profile} is closed. A new code opens it again."

    @dialog_action(
        title="Extend seat reservation", permission="recover_accounts", form=KeepSeatDialog, icon="event_upcoming"
    )
    def keep_seat(self, _request: HttpRequest, form: KeepSeatDialog) -> str:
        """Put the final date off."""
        profile, until = _locked(form), form.cleaned_data["until"]
        decision = decide(read_facts(profile))
        if decision.state == AccessState.EXPIRED:
            raise BadInput(OVER)
        if decision.final_expiry_at is None:
            raise BadInput("Nothing has ended, so there is no seat to keep.")
        if until <= decision.final_expiry_at:
            raise BadInput(f"The seat is kept until {when(decision.final_expiry_at)} already.", field="until")
        overrides.keep_seat(profile=profile, until=until, actor=form.actor, reason=form.cleaned_data["reason"])
        return f"The seat of {profile} is kept until {when(until)}."


def _locked(form: ReasonDialog) -> UserProfile:
    """The person, locked until the end of the transaction, so that the same asked twice is seen by the second."""
    rows = UserProfile.objects.select_for_update(of=("self",)).select_related("user")
    return rows.get(pk=form.target.pk)


def _record(form: ReasonDialog, action: AuditAction) -> None:
    audit.record(subject=form.target.subject, action=action, actor=form.actor, reason=form.cleaned_data["reason"])
