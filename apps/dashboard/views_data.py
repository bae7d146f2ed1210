"""The subscriber's data: a copy of it, and the way to delete the account. Everything here takes a login of the last minutes.

Promises: nobody sees another person's copy, or deletes another person's account; both are in the audit trail.
"""

import json

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.views.decorators.http import require_POST, require_safe

from apps.accounts.models import UserProfile
from apps.core import clock
from apps.core.errors import BadInput
from apps.dashboard.own import fresh as fresh_login
from apps.dashboard.own import own
from apps.operations import own_copy, own_erasure, personal_copy

UNDATED = gettext_noop("We can't tell when you logged in, so this isn't possible here. Please write to us.")
only_own = own(page="own-data", of_staff="admin:index")
fresh = fresh_login(page="own-data", undated=UNDATED, back="own-account")
only_own_delete = own(page="own-delete", of_staff="admin:index")
fresh_delete = fresh_login(page="own-delete", undated=UNDATED, back="own-account")
GONE = gettext_noop("There is no copy any more. Please ask for a new one.")


@require_safe
@only_own
@fresh
def page(request: HttpRequest, profile: UserProfile) -> HttpResponse:
    """Whether there is a copy, and how to get one."""
    return render(request, "dashboard/data.html", {"profile": profile, "copy": own_copy.find(profile)})


@require_POST
@only_own
@fresh
def ask(request: HttpRequest, profile: UserProfile) -> HttpResponse:
    """Have a copy made."""
    try:
        own_copy.request(profile)
    except BadInput as refusal:
        messages.error(request, refusal.message)
    else:
        messages.success(request, _("We're putting your copy together. We'll email you when it's ready."))
    return redirect("own-data")


@require_safe
@only_own
@fresh
def read(request: HttpRequest, profile: UserProfile) -> HttpResponse:
    """The copy as a page."""
    row = own_copy.find(profile)
    found = own_copy.hand_out(profile, form="page") if row else None
    if row is None or found is None:
        return _gone(request)
    shown = {"profile": profile, "copy": personal_copy.compose(found), "at": row.ready_at}
    return render(request, "dashboard/data_copy.html", shown)


@require_safe
@only_own
@fresh
def download(request: HttpRequest, profile: UserProfile) -> HttpResponse:
    """The copy as a JSON file."""
    found = own_copy.hand_out(profile, form="json")
    if found is None:
        return _gone(request)
    name = f"my-data-{clock.now():%Y-%m-%d}.json"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    body = json.dumps(found, indent=2, ensure_ascii=False)
    return HttpResponse(body, content_type="application/json", headers=headers)


def _gone(request: HttpRequest) -> HttpResponse:
    messages.info(request, _(GONE))
    return redirect("own-data")


@require_safe
@only_own_delete
@fresh_delete
def delete_page(request: HttpRequest, profile: UserProfile) -> HttpResponse:
    """What deleting means, before anything is asked for."""
    return _delete_page(request, profile)


@require_POST
@only_own_delete
@fresh_delete
def delete(request: HttpRequest, profile: UserProfile) -> HttpResponse:
    """Ask for it, with the username typed; the page then says what happens."""
    typed = request.POST.get("username", "")[:150]
    try:
        own_erasure.request(profile, typed=typed)
    except BadInput as refusal:
        return _delete_page(request, profile, refusal, typed)
    return redirect("own-delete")


def _delete_page(
    request: HttpRequest, profile: UserProfile, problem: BadInput | None = None, typed: str = ""
) -> HttpResponse:
    context = {"profile": profile, "meaning": own_erasure.explain(profile), "problem": problem, "typed": typed}
    return render(request, "dashboard/delete.html", context, status=problem.status if problem else 200)
