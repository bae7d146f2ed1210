"""The proof of a mailbox, as any page asks for it: an address, a code by email, and the code typed, pasted or opened from the email.

How a page uses it, without a line of JavaScript:

    PROOF = MailboxProof(purpose=…, page=…, template=…, refusal_template=…, parse=…, recipient=…)   a constant, one for each purpose
    PROOF.answer(request)      for a POST that has the field "mailbox" (the forms of partials/mailbox_code.html); BadInput to show
    PROOF.step(request)        what partials/mailbox_code.html shows, on every GET and after a BadInput (`problem=`)
    PROOF.proven(request)      the address that this browser has proven for this purpose, for 15 minutes; "" without
    PROOF.forget(request)      once it has been used

`answer` returns `Answer`: `proven`, the address, right after its code; `already`: a code was sent a moment ago, so show the page
again (200); otherwise redirect to the page. JSON APIs use `send` and `verify`, which `answer` uses too.

Promises: address and time are in the browser's session, so the page survives reloads and closed tabs; a code works only in the
browser that asked for it, or with the link in the email, whose encrypted token holds what the code is bound to. Opening the link
changes nothing; who opens it presses Confirm. No answer depends on whether an address has an account.
"""

import datetime as dt
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from apps.core import addresses, encryption, limits
from apps.core.errors import BadInput
from apps.core.requests import client_address, text_field
from apps.onboarding import codes

SESSION_KEY = "mailbox_codes"  # of the browser's session: by purpose, what was sent where, or what has been proven
PROOF_LIFETIME = dt.timedelta(minutes=15)
ANY_BROWSER = "anywhere"  # the binding of a code that staff sent: it works in any browser
NO_BROWSER = "nowhere"  # of no code
FIELD, LINK = "mailbox", "code"  # the form's button; the link's parameter
STALE = gettext_noop("That link no longer works. Please ask for a new code.")
ENDED = gettext_noop("You've been away for a while. Please enter your email address again.")


@dataclass(frozen=True)
class Recipient:
    """Where the email for a typed address goes, and whether its code may ever match; `refusal`: the email instead, if it is a special one."""

    address: str
    usable: bool
    refusal: str = ""


@dataclass(frozen=True)
class CodeStep:
    """What the page shows: `name` is "address", "code" or "proven"; `wait`: seconds until another code may be asked for."""

    name: str
    address: str
    alphabet: bool
    code: str = ""
    link: str = ""
    wait: int = 0
    again: bool = False
    already: bool = False
    problem: BadInput | None = None


@dataclass(frozen=True)
class TypedCode:
    """A code as it was handed in, whose it should be and what it is bound to. `kept`: what the link carries for its page."""

    address: str
    code: str
    binding: str
    kept: dict[str, str]


@dataclass(frozen=True)
class Answer:
    """What a form has done; nothing of it: redirect to the page."""

    proven: str = ""
    already: bool = False
    kept: dict[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class MailboxProof:
    """One purpose: its page (a route), its emails, how an address is read and who gets the email.

    `any_browser`: staff may send its codes, which then work in any browser (recovery). `continue_link`: where a special refusal leads,
    with what the link of a code would carry.
    """

    purpose: str
    page: str
    template: str
    refusal_template: str
    parse: Callable[[str], str]
    recipient: Callable[[str], Recipient]
    any_browser: bool = False
    continue_link: Callable[[dict[str, str]], str] | None = None

    # --- for pages -----------------------------------------------------------------------------------------------------------

    def answer(self, request: HttpRequest, *, kept: dict[str, str] | None = None) -> Answer:
        """Do what the form asks. BadInput when it can't be done; see the module."""
        asked = request.POST.get(FIELD, "")
        if asked == "code":
            given = self._read_form(request)
            self.verify(request, given)
            return Answer(proven=given.address, kept=given.kept)
        if asked in {"other", "keep"}:
            self.forget(request)
            if asked == "other":
                self._hold(request, {"changing": True})
            return Answer()
        again = asked == "again"
        typed = (
            self._held(request).get("address", "")
            if again
            else text_field(request.POST.dict(), "email", limit=addresses.LIMIT)
        )
        if not typed:
            raise BadInput(_(ENDED), field="email", code="no_code", status=409)
        return Answer(already=not self._send_or_wait(request, self.parse(typed), kept=kept))

    def step(
        self, request: HttpRequest, *, proven: str = "", problem: BadInput | None = None, already: bool = False
    ) -> CodeStep:
        """What the page shows. `proven`: the address that it knows as proven, from its own row."""
        held = self._held(request)
        link = request.POST.get("link", "") or request.GET.get(LINK, "")
        opened = self.open_link(link) if link else None
        address = opened.address if opened else held.get("address", "")
        name = "address"
        if opened or self._is_fresh(held):
            name = "code"
        elif (proven or self.proven(request)) and not held.get("changing"):
            name, address = "proven", proven or self.proven(request)
        if link and opened is None:
            problem = problem or BadInput(_(STALE), field="code", code="stale_link")
        return CodeStep(
            name=name,
            address=addresses.shown_email(address),
            alphabet=codes.uses_alphabet(self.purpose),
            code=opened.code if opened and problem is None else "",
            link=link if opened else "",
            wait=0 if opened else self._wait(held),
            again=not opened and held.get("codes", 0) > 1,
            already=already,
            problem=problem,
        )

    def proven(self, request: HttpRequest) -> str:
        """The address that this browser has proven; empty after 15 minutes."""
        held = self._held(request)
        return str(held.get("address", "")) if time.time() < held.get("proven_until", 0) else ""

    def forget(self, request: HttpRequest) -> None:
        """Forget what was sent and proven."""
        kept = dict(request.session.get(SESSION_KEY, {}))
        if kept.pop(self.purpose, None) is not None:
            request.session[SESSION_KEY] = kept

    # --- for pages and JSON APIs -----------------------------------------------------------------------------------------------

    def send(self, request: HttpRequest, address: str, *, kept: dict[str, str] | None = None) -> None:
        """Email a code, or what the mailbox has to know instead: the same work for every address. BadInput beyond the limits.

        `kept`: what the link carries for the page that opens it.
        """
        codes.check_sending_limits(purpose=self.purpose, address=address, client=client_address(request))
        held = self._held(request)
        binding = held.get("binding") or secrets.token_urlsafe(16)
        self.email(address, binding=binding, kept=kept)
        count = held.get("codes", 0) if held.get("address") == address else 0
        self._hold(request, {"address": address, "binding": binding, "sent_at": int(time.time()), "codes": count + 1})

    def email(
        self, address: str, *, binding: str, kept: dict[str, str] | None = None, to: Recipient | None = None
    ) -> None:
        """Email a code that is bound to `binding`; `to` is given by who knows the recipient already."""
        to = to or self.recipient(address)
        further = {"continue_url": self.continue_link(kept or {})} if self.continue_link else {}
        codes.email_code(
            purpose=self.purpose,
            address=to.address,
            session=binding,
            templates=(self.template, to.refusal or self.refusal_template),
            link=lambda code: self._link({"a": to.address, "c": code, "b": binding, "k": kept or {}}),
            instead=None if to.usable else further if to.refusal else {},
        )

    def verify(self, request: HttpRequest, given: TypedCode) -> None:
        """Use the code. BadInput unless it is right; then the session has a new id, so that nobody else knows it."""
        visitor = client_address(request)  # only the right code makes a session for a browser without one
        codes.check_try_limits(session=request.session.session_key or visitor, client=visitor)
        if not self._matches(given, visitor):
            raise codes.refuse(purpose=self.purpose, address=given.address, session=given.binding or visitor)
        request.session.cycle_key()
        until = int(time.time() + PROOF_LIFETIME.total_seconds())
        self._hold(request, {"address": given.address, "proven_until": until})

    def typed(self, request: HttpRequest, *, address: str, code: str) -> TypedCode:
        """A code that was typed in this browser."""
        return TypedCode(address, code, str(self._held(request).get("binding", "")), {})

    def open_link(self, token: str) -> TypedCode | None:
        """What the link in an email holds; None for one that was altered, is over, or was made for another purpose."""
        try:
            held = encryption.decrypt(token, purpose=self._sealed_for)
        except encryption.DecryptionError:
            return None
        return TypedCode(held["a"], held["c"], held["b"], held["k"]) if time.time() < held["u"] else None

    # --- inside ----------------------------------------------------------------------------------------------------------------

    def _read_form(self, request: HttpRequest) -> TypedCode:
        form = request.POST.dict()
        code = text_field(form, "code", limit=400)
        link = form.get("link", "")
        opened = self.open_link(link) if link else None
        if opened:
            return TypedCode(opened.address, code, opened.binding, opened.kept)
        if link:
            raise BadInput(_(STALE), field="code", code="stale_link")
        address = self._held(request).get("address", "")
        if not address:
            raise BadInput(_(ENDED), field="email", code="no_code", status=409)
        return self.typed(request, address=address, code=code)

    def _send_or_wait(self, request: HttpRequest, address: str, *, kept: dict[str, str] | None) -> bool:
        """False when this browser has a code for the address that is still good, and may not have another yet."""
        held = self._held(request)
        has_code = held.get("address") == address and self._is_fresh(held)
        if has_code and self._wait(held):
            return False
        try:
            self.send(request, address, kept=kept)
        except BadInput:
            if has_code:
                return False
            raise
        return True

    def _matches(self, given: TypedCode, visitor: str) -> bool:
        """Whether one of the codes matches; the work is the same for every answer.

        A code that staff sent may be tried by anybody, so each network has its own tries.
        """
        bindings = [given.binding]
        if self.any_browser:
            who = codes.mail_subjects(address=given.address, client=visitor)
            allowed = limits.allow(staff_code_pair=who["mails_pair"], staff_code_mailbox=who["mails_mailbox"])
            bindings.append(ANY_BROWSER if allowed else NO_BROWSER)
        bound: dict[str, Any] = {"purpose": self.purpose, "address": given.address, "code": given.code}
        tried = [codes.consume_code(session=one, burns=one == given.binding, **bound) for one in bindings]
        return any(tried)

    def _link(self, held: dict[str, Any]) -> str:
        until = int(time.time() + codes.CODE_LIFETIME.total_seconds())
        token = encryption.encrypt(held | {"u": until}, purpose=self._sealed_for)
        return f"{settings.BASE_URL}{reverse(self.page)}?{urlencode({LINK: token})}"

    @property
    def _sealed_for(self) -> str:
        return f"code links of {self.purpose}"

    def _held(self, request: HttpRequest) -> dict[str, Any]:
        return dict(request.session.get(SESSION_KEY, {}).get(self.purpose, {}))

    def _hold(self, request: HttpRequest, held: dict[str, Any]) -> None:
        request.session[SESSION_KEY] = request.session.get(SESSION_KEY, {}) | {self.purpose: held}

    def _is_fresh(self, held: dict[str, Any]) -> bool:
        return bool(time.time() < held.get("sent_at", 0) + codes.CODE_LIFETIME.total_seconds())

    def _wait(self, held: dict[str, Any]) -> int:
        """Seconds until the limit of one mailbox admits another code."""
        pause = max(per // limit for limit, per in settings.LIMITS["codes_pair"])
        return max(0, int(held.get("sent_at", 0) + pause - time.time()))
