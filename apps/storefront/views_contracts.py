"""Ending a contract without a login: "Cancel a contract here" and "Withdraw from contract here".

Before the mailbox is proven, the pages say the same to everybody. A subscriber who is logged in needs no code. What was stated is
shown with its time; the email says the same.
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.views.decorators.http import require_http_methods

from apps.accounts.models import UserProfile
from apps.core import addresses, limits
from apps.core.errors import BadInput
from apps.core.requests import text_field
from apps.login.sessions import profile_of
from apps.onboarding import contracts, mailbox_code, names
from apps.onboarding.contracts import Contract, Statement, Wish
from apps.onboarding.mailbox_code import MailboxProof, Recipient
from apps.onboarding.models import OneTimeCode

RECEIPTS = "contract_receipts"  # of the browser's session: what was stated in it, by wish
LONGEST_REASON = 500
TOO_MANY = gettext_noop("You've sent this several times. Please wait a while, or write to us.")
PAGES = {Wish.CANCEL: "contract-cancel", Wish.WITHDRAW: "contract-withdraw"}


def _find_customer(address: str) -> UserProfile | None:
    return UserProfile.customers().select_related("user").filter(email__iexact=address).first()


def _recipient(address: str) -> Recipient:
    profile = _find_customer(address)
    return Recipient(profile.email if profile else address, profile is not None)


PROOFS = {
    wish: MailboxProof(
        purpose=OneTimeCode.Purpose.CONTRACT.value,
        page=page,
        template="contract_code",
        refusal_template="contract_no_account",
        parse=names.normalize_email,
        recipient=_recipient,
    )
    for wish, page in PAGES.items()
}


def _page(wish: Wish, is_offered: Callable[[], bool]) -> Callable[[HttpRequest], HttpResponse]:
    @require_http_methods(["GET", "HEAD", "POST"])
    def serve(request: HttpRequest) -> HttpResponse:
        if not is_offered():
            raise Http404
        try:
            already = request.method == "POST" and _answer(request, wish)
        except BadInput as refusal:
            return _show(request, wish, problem=refusal)
        return (
            redirect(PAGES[wish]) if request.method == "POST" and not already else _show(request, wish, already=already)
        )

    return serve


cancel = _page(Wish.CANCEL, lambda: settings.CANCEL_WITHOUT_LOGIN)
withdraw = _page(Wish.WITHDRAW, lambda: settings.WITHDRAWAL_DAYS > 0)


def _answer(request: HttpRequest, wish: Wish) -> bool:
    """Do what the form asks; whether a code had been sent already. BadInput says what is wrong."""
    if mailbox_code.FIELD in request.POST:
        return PROOFS[wish].answer(request).already
    profile = _customer(request, wish)
    if profile is None:
        raise BadInput(
            _("You've been away for a while. Please confirm your email address again."), field="email", status=403
        )
    form = request.POST.dict()
    subscription = text_field(form, "contract", limit=255)
    reason = text_field(form, "reason", limit=LONGEST_REASON, required=False) if wish == Wish.CANCEL else ""
    if not limits.allow(contract_endings=str(profile.pk)):
        raise BadInput(_(TOO_MANY), status=429)
    made = contracts.state(profile, subscription, wish, reason=reason)
    _keep_receipt(request, profile, made)
    return False


def _customer(request: HttpRequest, wish: Wish) -> UserProfile | None:
    """Who is logged in, or whose mailbox this browser has proven."""
    own = profile_of(request.user) if request.user.is_authenticated else None
    proven = "" if own else PROOFS[wish].proven(request)
    return own or (_find_customer(proven) if proven else None)


def _keep_receipt(request: HttpRequest, profile: UserProfile, made: Statement) -> None:
    said = asdict(made) | {"at": made.at.isoformat(), "ends_on": made.ends_on.isoformat() if made.ends_on else ""}
    said["email"] = addresses.shown_email(profile.email)
    request.session[RECEIPTS] = request.session.get(RECEIPTS, {}) | {made.wish.value: said}


def _show(request: HttpRequest, wish: Wish, *, problem: BadInput | None = None, already: bool = False) -> HttpResponse:
    profile = _customer(request, wish)
    at_mailbox = problem if problem and problem.field in {"email", "code"} else None
    context: dict[str, Any] = {
        "wish": wish.value,
        "profile": profile,
        "contracts": _offer(profile, wish) if profile else [],
        "receipt": _read_receipt(request, wish),
        "mailbox": None if profile else PROOFS[wish].step(request, problem=at_mailbox, already=already),
        "problem": None if at_mailbox else problem,
        "logged_in": profile is not None and request.user.is_authenticated,
    }
    return render(request, "storefront/contract.html", context, status=problem.status if problem else 200)


def _offer(profile: UserProfile, wish: Wish) -> list[Contract]:
    found = contracts.read_contracts(profile)
    return [one for one in found if wish == Wish.CANCEL or one.can_withdraw or one.stated]


def _read_receipt(request: HttpRequest, wish: Wish) -> dict[str, Any] | None:
    kept: dict[str, Any] | None = request.session.get(RECEIPTS, {}).get(wish.value)
    if kept is None:
        return None
    ends_on = dt.date.fromisoformat(kept["ends_on"]) if kept["ends_on"] else None
    return kept | {"at": dt.datetime.fromisoformat(kept["at"]), "ends_on": ends_on}
