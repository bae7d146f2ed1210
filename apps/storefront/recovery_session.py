"""The recovery session: what a browser may do for a while after it proved a mailbox. It is no login.

Promises: a code proves the mailbox and opens this for 15 minutes and one account; whoever asks for a code gets the same
answer at the same cost; what can be done here is to see where one stands, to pay, and to have Keycloak mail its own reset.
"""

import hashlib
import time
import uuid
from dataclasses import dataclass

from django.db import transaction
from django.http import HttpRequest

from apps.accounts.models import Signup, UserProfile
from apps.core import audit, clock, jobs
from apps.core.audit_actions import AuditAction
from apps.core.errors import BadInput
from apps.notifications.mail import UNUSABLE_DOMAIN, notify_secret
from apps.onboarding import codes, names, recovery
from apps.onboarding.models import OneTimeCode
from apps.storefront import wizard

RECOVERY = OneTimeCode.Purpose.RECOVERY.value
ANYWHERE = "anywhere"  # the session of a code that staff had sent: it works in any browser
SESSION_KEY, SECONDS = "recovery", 15 * 60


def register() -> None:
    """Make the job kind known."""
    jobs.register(recovery.SEND_CODE, send_by_staff, label="Send recovery code")


def address_of(text: str) -> str:
    """The address that was typed. What is none becomes one that nobody can have, so that it is answered like any unknown one."""
    try:
        return names.email(text)
    except BadInput:
        return f"{hashlib.sha256(text.encode(errors='replace')).hexdigest()[:32]}@address{UNUSABLE_DOMAIN}"


def send_code(*, address: str, session: str) -> None:
    """Mail a code to `address`, or word that there is nothing to recover: the same work either way."""
    profile = UserProfile.objects.filter(email__iexact=address, keycloak_id__isnull=False).first()
    _send(profile, address=address, session=session)


def send_by_staff(key: str) -> None:
    """The job `send_recovery_code`: key is the profile's id; its code works in any browser."""
    profile = UserProfile.objects.filter(pk=key).first()
    if profile is not None:
        _send(profile, address=profile.email, session=ANYWHERE)


@transaction.atomic
def _send(profile: UserProfile | None, *, address: str, session: str) -> None:
    known = profile is not None
    code = codes.issue(purpose=RECOVERY, address=address, session=session, usable=known)
    notify_secret(
        key=f"code:{uuid.uuid4()}",
        template="recovery_code" if known else "recovery_no_account",
        to=address,
        secret_context={"code": code, "minutes": str(int(codes.LIFE.total_seconds()) // 60)} if known else {},
        valid_for=codes.LIFE,
    )


def prove(request: HttpRequest, *, address: str, code: str) -> UserProfile | None:
    """Spend the code; the right one makes this browser's recovery session. None: not right, or no longer valid."""
    session = request.session.session_key or ""
    tried = [codes.consume(purpose=RECOVERY, address=address, session=one, code=code) for one in (session, ANYWHERE)]
    profile = UserProfile.objects.select_related("user").filter(email__iexact=address).first()
    if profile is None or not any(tried):
        return None
    request.session.cycle_key()  # what was known of the session before is worth nothing now
    request.session[SESSION_KEY] = {"profile": profile.pk, "until": int(time.time()) + SECONDS}
    _enter(profile)
    return profile


def _enter(profile: UserProfile) -> None:
    """Open the account where that is allowed; elsewhere the page says what is to be done."""
    try:
        recovery.open_window(profile, actor=audit.CUSTOMER, reason="the mailbox was proven by a code")
    except BadInput as refusal:
        audit.record(
            subject=profile.subject,
            action=AuditAction.RECOVERY_CODE_VERIFIED,
            actor=audit.CUSTOMER,
            reason=refusal.message,
        )


def proven(request: HttpRequest) -> UserProfile | None:
    """Whose account this browser may recover now."""
    kept = request.session.get(SESSION_KEY) or {}
    if time.time() >= kept.get("until", 0):
        return None
    return UserProfile.objects.select_related("user").filter(pk=int(kept.get("profile", 0))).first()


def forget(request: HttpRequest) -> None:
    """End this browser's recovery session."""
    request.session.pop(SESSION_KEY, None)


def begin_anew(request: HttpRequest, profile: UserProfile) -> None:
    """A signup for somebody whose place was given up: the same person, name and mailbox, another choice of plan."""
    wizard.begin_again(
        request,
        Signup(
            profile=profile,
            first_name=profile.user.first_name,
            last_name=profile.user.last_name,
            username=profile.user.username,
            email=profile.email,
            email_proven_at=clock.now(),
            created_at=clock.now(),
        ),
    )


@dataclass(frozen=True)
class View:
    """What the page shows: where the person stands, with the address masked; `paying`: a payment is being confirmed."""

    standing: recovery.Standing
    masked: str
    final_day: str
    plan: tuple[str, ...]
    paying: bool


def view(profile: UserProfile) -> View:
    """Read from our own rows; no call."""
    now = recovery.standing(profile)
    return View(
        standing=now,
        masked=masked(profile.email),
        final_day=recovery.final_day(now),
        plan=tuple(
            f"{item.quantity} × {item.product.name}" if item.quantity > 1 else item.product.name
            for item in now.items
            if item.product
        ),
        paying=Signup.objects.filter(profile=profile, state=Signup.State.CHECKOUT).exists(),
    )


def masked(address: str) -> str:
    """An address that its owner recognises and nobody can use: d…a@example.com."""
    local, _, domain = address.rpartition("@")
    return f"{local[:1]}…{local[-1:] if len(local) > 2 else ''}@{domain}"
