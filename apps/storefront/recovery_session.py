"""The recovery session: what a browser may do for 15 minutes after it confirmed an address. It is not a login.

Promises: a code opens it for one account; every request for a code gets the same answer at the same cost; it lets a subscriber
see the account's state, pay, and have Keycloak email its password link. Nothing else.
"""

import hashlib
import time
from dataclasses import dataclass

from django.http import HttpRequest

from apps.accounts.models import Signup, UserProfile
from apps.billing import overview
from apps.billing.overview import OpenInvoice
from apps.core import audit, jobs, languages
from apps.core.addresses import shown_email
from apps.core.audit_actions import AuditAction
from apps.core.errors import BadInput
from apps.notifications.mail import UNUSABLE_DOMAIN
from apps.onboarding import basket, codes, names, recovery
from apps.onboarding.mailbox_code import ANY_BROWSER, MailboxProof, Recipient
from apps.onboarding.models import OneTimeCode
from apps.onboarding.order_summary import OrderSummary
from apps.storefront import wizard

SESSION_KEY, SECONDS = "recovery", 15 * 60


def register() -> None:
    """Register the job kind."""
    jobs.register(recovery.SEND_CODE, send_code_for_staff, label="Send recovery code")


def parse_address(text: str) -> str:
    """The typed address. A malformed one becomes one that nobody can have, so that it is answered like an unknown one."""
    try:
        return names.normalize_email(text)
    except BadInput:
        return f"{hashlib.sha256(text.encode(errors='replace')).hexdigest()[:32]}@address{UNUSABLE_DOMAIN}"


def _find_recipient(address: str) -> Recipient:
    """The account's own address; without an account, an email that there is nothing to recover."""
    profile = UserProfile.customers().filter(email__iexact=address).first()
    return Recipient(profile.email if profile else address, usable=profile is not None)


PROOF = MailboxProof(
    purpose=OneTimeCode.Purpose.RECOVERY.value,
    page="recovery",
    template="recovery_code",
    refusal_template="recovery_no_account",
    parse=names.normalize_email,
    recipient=_find_recipient,
    any_browser=True,
)


def send_code_for_staff(key: str) -> None:
    """The job `send_recovery_code`: key is the profile's id; its code works in any browser."""
    profile = UserProfile.objects.filter(pk=key).first()
    if profile is not None:
        with languages.speaking_to(profile.language):
            PROOF.email(profile.email, binding=ANY_BROWSER, to=Recipient(profile.email, usable=True))


def start(request: HttpRequest, *, address: str) -> UserProfile:
    """Start this browser's recovery session, right after its proof; WrongCode when the account has gone in between."""
    PROOF.forget(request)
    profile = UserProfile.objects.select_related("user").filter(email__iexact=address).first()
    if profile is None:
        raise codes.WrongCode
    request.session[SESSION_KEY] = {"profile": profile.pk, "until": int(time.time()) + SECONDS}
    _open_account(profile)
    return profile


def _open_account(profile: UserProfile) -> None:
    """Open the account where that is allowed; otherwise the page says what to do."""
    try:
        recovery.open_window(profile, actor=audit.CUSTOMER, reason="the address was confirmed by a code")
    except BadInput as refusal:
        audit.record(
            subject=profile.subject,
            action=AuditAction.RECOVERY_CODE_VERIFIED,
            actor=audit.CUSTOMER,
            reason=refusal.message,
        )


def recovering_profile(request: HttpRequest) -> UserProfile | None:
    """The profile this browser may recover now."""
    kept = request.session.get(SESSION_KEY) or {}
    if time.time() >= kept.get("until", 0):
        return None
    return UserProfile.objects.select_related("user").filter(pk=int(kept.get("profile", 0))).first()


def end_session(request: HttpRequest) -> None:
    """End this browser's recovery session."""
    request.session.pop(SESSION_KEY, None)


def start_new_signup(request: HttpRequest, profile: UserProfile) -> None:
    """A new signup of an expired subscriber: the same person, username and address, a new choice of plan."""
    wizard.continue_with(request, recovery.signup_of(profile))


@dataclass(frozen=True)
class RecoveryPage:
    """What the page shows; `paying`: a payment is being confirmed.

    `order`: what subscribing again costs, or `order_problem`: why that cannot be; `invoice`: the one to pay.
    """

    status: recovery.RecoveryStatus
    masked_email: str
    plan: tuple[str, ...]
    paying: bool
    order: OrderSummary | None = None
    order_problem: str = ""
    invoice: OpenInvoice | None = None


def read_page(profile: UserProfile) -> RecoveryPage:
    """The page's content, from our own rows."""
    status = recovery.read_status(profile)
    order, problem = _read_order(status)
    late = status.next_step == recovery.NextStep.PAY
    return RecoveryPage(
        status=status,
        masked_email=mask_address(profile.email),
        plan=tuple(
            f"{item.quantity} × {item.product.name}" if item.quantity > 1 else item.product.name
            for item in status.items
            if item.product
        ),
        paying=Signup.objects.filter(profile=profile, state=Signup.State.CHECKOUT).exists(),
        order=order,
        order_problem=problem,
        invoice=overview.read_late_invoice(profile.stripe_customer_id or "") if late else None,
    )


def _read_order(status: recovery.RecoveryStatus) -> tuple[OrderSummary | None, str]:
    """What subscribing again would cost, or why nothing is sold."""
    if status.next_step != recovery.NextStep.RENEW:
        return None, ""
    try:
        return basket.summarize_prices(recovery.current_prices(status)), ""
    except BadInput as refusal:
        return None, refusal.message


def mask_address(address: str) -> str:
    """An address its owner recognises but nobody else can use: d…a@example.com."""
    local, _, domain = shown_email(address).rpartition("@")
    return f"{local[:1]}…{local[-1:] if len(local) > 2 else ''}@{domain}"
