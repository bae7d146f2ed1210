"""The subscriber's email address: the new mailbox is proven by a code, the former one hears of it and may object.

Promises: the change takes a login of the last minutes; a link to a code works for the subscriber who asked for it alone, so that
nobody can be led to confirm another person's mailbox; nothing here says whether somebody else has an address.
"""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.views.decorators.http import require_http_methods

from apps.accounts.models import UserProfile
from apps.core import security_events
from apps.core.addresses import LIMIT, shown_email
from apps.core.errors import BadInput
from apps.core.security_events import SecurityEvent
from apps.dashboard.own import fresh as fresh_login
from apps.dashboard.own import own
from apps.onboarding import mailbox_code, own_address
from apps.onboarding.own_address import PROOF

only_own = own(page="own-address", of_staff="admin:index")
fresh = fresh_login(
    page="own-address",
    undated=gettext_noop("We can't tell when you logged in, so your address stays. Please write to us."),
    back="own-account",
)
NOT_YOURS = gettext_noop("That link belongs to another account. Please ask for a code here.")


@require_http_methods(["GET", "HEAD", "POST"])
@only_own
@fresh
def page(request: HttpRequest, profile: UserProfile) -> HttpResponse:
    """Ask for the new address, then for its code."""
    if _is_of_another(request, profile):
        messages.error(request, _(NOT_YOURS))
        return redirect("own-address")
    if request.method != "POST":
        return _shown(request, profile)
    try:
        return _answer(request, profile)
    except BadInput as refusal:
        return _shown(request, profile, problem=refusal)


def _answer(request: HttpRequest, profile: UserProfile) -> HttpResponse:
    asked = request.POST.get(mailbox_code.FIELD, "")
    if asked not in {"code", "other", "keep"}:
        own_address.check_asking(profile, None if asked == "again" else request.POST.get("email", "")[:LIMIT])
    done = PROOF.answer(request, kept={"profile": str(profile.pk)})
    if done.proven:
        PROOF.forget(request)
        own_address.take_over(profile, done.proven)
        told = _("Your address is now {address}. Your former one was told.")
        messages.success(request, told.format(address=shown_email(done.proven)))
        return redirect("own-account")
    return _shown(request, profile, already=True) if done.already else redirect("own-address")


def _is_of_another(request: HttpRequest, profile: UserProfile) -> bool:
    """Whether the request comes by a link that somebody else was sent."""
    token = request.POST.get("link", "") or request.GET.get(mailbox_code.LINK, "")
    opened = PROOF.open_link(token) if token else None
    return opened is not None and opened.kept.get("profile") != str(profile.pk)


def _shown(
    request: HttpRequest, profile: UserProfile, *, problem: BadInput | None = None, already: bool = False
) -> HttpResponse:
    step = PROOF.step(request, problem=problem, already=already)
    context = {"profile": profile, "mailbox": step, "typed": request.POST.get("email", "")}
    return render(request, "dashboard/address.html", context, status=problem.status if problem else 200)


@require_http_methods(["GET", "HEAD", "POST"])
def objection(request: HttpRequest, token: str) -> HttpResponse:
    """From the email to the former address: GET shows what a click would do, POST does it."""
    row = own_address.find_change(token[:300])
    if row is None:
        security_events.note(SecurityEvent.LINK_REFUSED, link="address_objection", reason="over")
        return render(request, "dashboard/objection.html", {"state": "over"}, status=410)
    context = {"state": "ask", "former": row.former}
    if request.method == "POST":
        try:
            own_address.object_to(row)
        except BadInput as refusal:
            return render(request, "dashboard/objection.html", context | {"problem": refusal}, status=409)
        context["state"] = "done"
    return render(request, "dashboard/objection.html", context)
