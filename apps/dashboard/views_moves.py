"""Where a subscriber is asked whether a seat may move, and answers. Nobody sees or answers another person's question."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.views.decorators.http import require_POST, require_safe

from apps.accounts.models import UserProfile
from apps.core import audit
from apps.core.errors import BadInput
from apps.core.requests import row_number
from apps.dashboard.own import own
from apps.operations import seat_plans
from apps.operations.models import SeatMove

REASON = "on the dashboard"
OVER = gettext_noop("There is nothing to answer any more. Your app stays where it is now.")
Answer = SeatMove.Answer
only_own = own(page="own-moves", of_staff="admin:index")


@require_safe
@only_own
def page(request: HttpRequest, profile: UserProfile) -> HttpResponse:
    """What the subscriber is asked, and what they have answered."""
    return render(request, "dashboard/moves.html", {"profile": profile, "moves": seat_plans.open_questions(profile)})


@require_POST
@only_own
def answer(request: HttpRequest, profile: UserProfile) -> HttpResponse:
    """Record a yes or a no."""
    known, said = row_number(request.POST.get("move", "")), request.POST.get("answer", "")
    move = seat_plans.open_questions(profile).filter(pk=known).first()
    if move is None or said not in Answer.values:
        messages.info(request, _(OVER))
        return redirect("own-moves")
    try:
        seat_plans.record_answer(move, Answer(said), actor=audit.CUSTOMER, reason=REASON)
    except BadInput:  # moved or ended in this moment
        messages.info(request, _(OVER))
    else:
        thanks = _("Thank you: you stay where you are.")
        if said == Answer.YES:
            thanks = _("Thank you: we'll move you soon. Save what you need until then.")
        messages.success(request, thanks)
    return redirect("own-moves")
