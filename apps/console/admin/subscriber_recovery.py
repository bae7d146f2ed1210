"""Recovery as staff see it: send a code, open or close recovery, keep the seat. Each shows the subscriber's current state.

The actions are a mixin of the subscriber's page. What they may do to whom is decided by onboarding.recovery; here is refused
only what would do nothing: twice the same is once.
"""

import datetime as dt
from typing import Any, ClassVar, override

from django.http import HttpRequest

from apps.access import overrides
from apps.accounts.models import UserProfile
from apps.console.admin.subscriber_page import read_decision, read_facts_once
from apps.console.columns import when
from apps.console.dialogs import LastDayField, ReasonDialog, dialog_action
from apps.core import audit, clock, jobs
from apps.core.audit_actions import AuditAction
from apps.core.dates import last_day
from apps.core.errors import BadInput
from apps.core.models import Job
from apps.core.states import AccessState
from apps.onboarding import recovery

CODE_PAUSE = dt.timedelta(minutes=1)  # between two codes that staff send to one person


class RecoveryDialog(ReasonDialog):
    """Shows the current state: access, the window, and until when the seat is kept. `words`: what it says it does."""

    model = UserProfile
    form_before_template = "console/dialogs/recovery.html"
    words: ClassVar[str] = ""

    @override
    def context(self) -> dict[str, Any]:
        return {
            "decision": read_decision(self.target),
            "window": window_of(self.target),
            "hours": int(read_facts_once(self.target).recovery_window.total_seconds()) // 3600,
            "words": self.words,
        }


class CodeDialog(RecoveryDialog):
    words = "code"


class OpenRecoveryDialog(RecoveryDialog):
    words = "open"


class CloseRecoveryDialog(RecoveryDialog):
    words = "close"


class KeepSeatDialog(RecoveryDialog):
    words = "keep"
    until = LastDayField(label="Keep the seat until", help_text="The last day on which the subscriber can come back.")


def window_of(profile: UserProfile) -> dt.datetime | None:
    """Until when the way back in is open; None: it is closed."""
    until = profile.recovering_until
    return until if until and until > clock.now() else None


def refuse_code(profile: UserProfile) -> str:
    """Those whose access was ended by billing can come back, or sign up again once the time for it is over."""
    state = read_decision(profile).state
    if not state.is_recoverable and state != AccessState.EXPIRED:
        return "Nothing has ended, so there is nothing to recover."
    if not profile.keycloak_id:
        return "There is no Keycloak account yet, so there is nothing to recover. Sync first."
    return ""


def refuse_opening(profile: UserProfile) -> str:
    if until := window_of(profile):
        return f"Recovery is already open until {when(until)}."
    return recovery.WINDOW_REFUSALS.get(read_decision(profile).state, "")


def refuse_closing(profile: UserProfile) -> str:
    return "" if window_of(profile) else "No recovery is open."


def refuse_keeping(profile: UserProfile) -> str:
    decision = read_decision(profile)
    if decision.state == AccessState.EXPIRED:
        return "The time to come back is over, and the seat was released. They can sign up again."
    return "" if decision.final_expiry_at else "Nothing has ended, so there is no seat to keep."


class RecoveryActions:
    """The four actions, for the subscriber's ModelAdmin."""

    @dialog_action(
        title="Send recovery code", permission="recover_accounts", form=CodeDialog, icon="forward_to_inbox",
        refuse=refuse_code, lock=True,
    )  # fmt: skip
    def send_code(self, _request: HttpRequest, form: CodeDialog) -> str:
        """Have a code mailed that opens /recovery/ in any browser."""
        profile = form.target
        sent = Job.objects.filter(kind=recovery.SEND_CODE, key=str(profile.pk), created_at__gt=clock.now() - CODE_PAUSE)
        if sent.exists():
            raise BadInput(f"A code has been sent to {profile} within the last minute. Wait for that one to arrive.")
        audit.record(subject=profile.subject, action=AuditAction.RECOVERY_CODE_REQUESTED, **form.why)
        jobs.defer(recovery.SEND_CODE, str(profile.pk), reason=f"asked by {form.actor}")
        return f"A recovery code is on its way to {profile}. It can be entered at {recovery.PAGE} in any browser."

    @dialog_action(
        title="Open recovery window", permission="recover_accounts", form=OpenRecoveryDialog, icon="lock_open",
        refuse=refuse_opening, lock=True,
    )  # fmt: skip
    def open_window(self, _request: HttpRequest, form: OpenRecoveryDialog) -> str:
        """Let them log in to pay."""
        until = recovery.open_window(form.target, **form.why)
        return f"{form.target} can log in until {when(until)}; the apps stay closed until a payment arrives."

    @dialog_action(
        title="Close recovery window", permission="recover_accounts", form=CloseRecoveryDialog, icon="lock",
        refuse=refuse_closing, lock=True, danger=True,
    )  # fmt: skip
    def close_window(self, _request: HttpRequest, form: CloseRecoveryDialog) -> str:
        """Close it before its time."""
        recovery.close_window(form.target, **form.why)
        return f"Recovery of {form.target} is closed. A new code opens it again."

    @dialog_action(
        title="Extend seat reservation", permission="recover_accounts", form=KeepSeatDialog, icon="event_upcoming",
        refuse=refuse_keeping, lock=True,
    )  # fmt: skip
    def keep_seat(self, _request: HttpRequest, form: KeepSeatDialog) -> str:
        """Put the final date off."""
        until, kept = form.cleaned_data["until"], read_decision(form.target).final_expiry_at
        if kept is not None and until <= kept:
            raise BadInput(f"The seat is kept until {when(kept)} already.", field="until")
        overrides.keep_seat(profile=form.target, until=until, **form.why)
        return f"The seat of {form.target} is kept until the end of {last_day(until)}."
