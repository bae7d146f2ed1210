"""The proof of a new customer's mailbox, and the change of device: the email's link lets another browser continue the sign-up.

Promises: only the browser in which the code was confirmed gets the proven address; what another browser goes on with are the
answers that say nothing about a person's account (first name, plan), which it sees before anything is ordered. Of an address
that only Keycloak has an account for, the mailbox alone learns it: its email leads through the login to views_account.py.
"""

import time
import uuid
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from apps.accounts.models import Signup, UserProfile
from apps.core import addresses, clock, encryption
from apps.core.addresses import shown_email
from apps.core.errors import BadInput
from apps.onboarding import mailbox_code, own_account
from apps.onboarding.mailbox_code import Answer, MailboxProof, Recipient
from apps.onboarding.models import OneTimeCode
from apps.storefront import wizard
from apps.storefront.account_form import read_address

SIGNUP = "signup"  # what the link carries: the sign-up it was sent for
CONTINUED = ("first_name", "interval", "basket")
CONTINUE, CONTINUE_SECONDS = "continue", 24 * 3600  # the parameter of the link to who has an account; how long it works
CONTINUES = "continued sign-ups"


def _find_recipient(address: str) -> Recipient:
    """A customer gets an email about the account, at its own address, instead of a code; so does who has an account at Keycloak alone,
    which is asked about every address, so that none takes longer than another.
    """
    has_account = own_account.is_taken(address)
    customer = UserProfile.customers().filter(email__iexact=address).first()
    if customer is not None:
        return Recipient(customer.email, usable=False)
    return Recipient(address, usable=not has_account, refusal="account_without_plan" if has_account else "")


def _continue_link(kept: dict[str, str]) -> str:
    token = encryption.encrypt({"k": kept, "u": int(time.time()) + CONTINUE_SECONDS}, purpose=CONTINUES)
    return f"{settings.BASE_URL}{reverse('onboarding-account')}?{urlencode({CONTINUE: token})}"


def read_continuation(token: str) -> dict[str, Any]:
    """The answers of the sign-up for which an email's link was sent; none for a link that is over or was altered."""
    try:
        held = encryption.decrypt(token, purpose=CONTINUES) if token else {}
    except encryption.DecryptionError:
        held = {}
    other = find_linked(held["k"]) if time.time() < held.get("u", 0) else None
    return {name: getattr(other, name) for name in CONTINUED} if other else {}


PROOF = MailboxProof(
    purpose=OneTimeCode.Purpose.SIGNUP.value,
    page="onboarding-confirm",
    template="signup_code",
    refusal_template="already_customer",
    parse=read_address,
    recipient=_find_recipient,
    continue_link=_continue_link,
)


def send(request: HttpRequest, signup: Signup, address: str) -> None:
    """Email a code for this sign-up. BadInput when it pays with another address already, and beyond the limits."""
    refuse_while_paying(signup, address)
    PROOF.send(request, address, kept={SIGNUP: str(signup.pk)})


def answer(request: HttpRequest, signup: Signup | None) -> Answer:
    """Do what a form of the mailbox asks, for this browser's sign-up or the one that its link was sent for."""
    if signup is not None and request.POST.get(mailbox_code.FIELD) == "send":
        refuse_while_paying(signup, read_typed(request))
    done = PROOF.answer(request, kept={SIGNUP: str(signup.pk)} if signup else None)
    if done.proven:
        accept(request, signup or _continue_elsewhere(request, done), done.proven)
    return done


def read_typed(request: HttpRequest) -> str:
    """The address in the form. BadInput when it is none."""
    return read_address(request.POST.get("email", "")[: addresses.LIMIT + 1])


def accept(request: HttpRequest, signup: Signup, address: str) -> None:
    """The mailbox is proven: the sign-up has its address."""
    refuse_while_paying(signup, address)
    changes = {"email": address, "email_proven_at": clock.now(), "keycloak_id": ""}
    Signup.objects.filter(pk=signup.pk, state=Signup.State.OPEN).update(**changes)
    PROOF.forget(request)


def _continue_elsewhere(request: HttpRequest, done: Answer) -> Signup:
    """A sign-up of this browser, with the plan that was chosen in another one."""
    other = find_linked(done.kept or {})
    answers = {name: getattr(other, name) for name in CONTINUED} if other else {}
    signup = Signup(created_at=clock.now(), **answers)
    wizard.continue_with(request, signup)
    if other is not None and other.basket:
        request.session[wizard.ADDONS_SEEN] = True
    return signup


def find_linked(kept: dict[str, str]) -> Signup | None:
    """The sign-up that a link was sent for."""
    try:
        return Signup.objects.filter(pk=uuid.UUID(kept.get(SIGNUP, ""))).first()
    except ValueError:
        return None


def refuse_while_paying(signup: Signup, address: str) -> None:
    """BadInput when the sign-up is at its payment with another address."""
    if signup.state == Signup.State.CHECKOUT and address.lower() != signup.email.lower():
        raise BadInput(
            _("You've started paying with {address}. Please finish with that email address.").format(
                address=shown_email(signup.email)
            ),
            field="email",
            code="in_checkout",
            status=409,
        )
