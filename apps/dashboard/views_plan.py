"""Changing plan, interval and storage here: choose, see what Stripe says it costs, confirm.

Promises: nobody changes another person's subscription; what is confirmed is what was shown, for an hour, signed; seats and prices
are checked again before the change; a form that is sent twice is one change; without the payment nothing changes.
"""

from typing import Any

from csp.decorators import csp_update
from django.contrib import messages
from django.core import signing
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.views.decorators.http import require_POST, require_safe

from apps.accounts.models import UserProfile
from apps.billing import overview, plan_changes
from apps.billing.plan_changes import PlanChange
from apps.core import limits
from apps.core.errors import BadInput
from apps.dashboard import own_changes, plan_choice, plan_people
from apps.dashboard.own import own
from apps.dashboard.plan_choice import CurrentPlan
from apps.dashboard.views import PORTAL_HOSTS
from apps.onboarding.order_people import FIELD, people_field

SALT, VALID = "frontdesk.plan-change", 3600  # seconds
EXPIRED = gettext_noop("These amounts are more than an hour old. Please check them again.")
MOVED = gettext_noop(
    "Prices or your subscription have changed in the meantime, so nothing was done. Please check the new amounts."
)
TOO_MANY = gettext_noop("You've asked for many previews in a short time. Please wait a few minutes.")
only_own = own(page="own-plan", of_staff="admin:index")


@require_safe
@csp_update({"form-action": PORTAL_HOSTS})
@only_own
def page(request: HttpRequest, profile: UserProfile) -> HttpResponse:
    """What one has, and what one may choose instead."""
    return _show(request, profile, plan_choice.read_current(profile))


@require_safe
@csp_update({"form-action": PORTAL_HOSTS})
@only_own
def preview(request: HttpRequest, profile: UserProfile) -> HttpResponse:
    """What the choice costs today and then, by Stripe's own preview, and the button."""
    current = plan_choice.read_current(profile)
    if current is None or current.obstacle or "plan" not in request.GET:
        return redirect("own-plan")
    asked = own_changes.request_by(profile, "")
    try:
        order = plan_choice.read_choice(current, request.GET)
        people = plan_people.count_change(profile, current, order)
        plan_people.refuse_too_few(profile, people)
        items = plan_choice.find_changes(current, order)
    except BadInput as refusal:
        return _show(request, profile, current, refusal)
    if not limits.allow(plan_previews=str(profile.user_id)):
        return _show(request, profile, current, BadInput(_(TOO_MANY), code="too_many", status=429))
    try:
        found = plan_changes.preview_change(asked, subscription_id=current.row.stripe_id, items=items)
    except BadInput as refusal:
        return _show(request, profile, current, BadInput(own_changes.explain(refusal), status=refusal.status))
    offer = {"profile": profile.pk, "choice": request.GET.urlencode(), "key": asked.key, **found.change.as_dict()}
    context = {
        "profile": profile,
        "order": order,
        "preview": found,
        "difference": plan_choice.compare(current, order),
        "people": people,
        "card": overview.read_card(profile.stripe_customer_id or ""),
        "lapses": bool(current.row.after_trial),
        "offer": signing.dumps(offer, salt=SALT),
        "back": f"{reverse('own-plan')}?{request.GET.urlencode()}",
    }
    return render(request, "dashboard/plan_preview.html", context)


@require_POST
@only_own
def change(request: HttpRequest, profile: UserProfile) -> HttpResponse:
    """Make the change that was shown."""
    try:
        offer = _read_offer(request, profile)
        _expect_same(profile, plan_choice.read_current(profile), offer)
    except BadInput as refusal:
        messages.error(request, refusal.message)
        return redirect("own-plan")
    asked = own_changes.request_by(profile, offer["key"])
    wanted = PlanChange(offer["subscription_id"], offer["items"], offer["seen"], offer["at"])
    pages: list[str] = []
    if not own_changes.carry_out(request, profile, lambda: pages.append(plan_changes.change_plan(asked, wanted))):
        return redirect("own-plan")
    if pages[0]:
        return render(request, "dashboard/plan_confirm.html", {"profile": profile, "page": pages[0]})
    messages.success(request, _("Your plan has changed. We're emailing you what you have now."))
    return redirect("dashboard")


def _read_offer(request: HttpRequest, profile: UserProfile) -> dict[str, Any]:
    """What was shown to this subscriber. Raises BadInput for what is old, another person's or not ours."""
    try:
        offer: dict[str, Any] = signing.loads(request.POST.get("offer", ""), salt=SALT, max_age=VALID)
    except signing.BadSignature:
        raise BadInput(_(EXPIRED)) from None
    if offer["profile"] != profile.pk:
        raise BadInput(_(EXPIRED))
    return offer


def _expect_same(profile: UserProfile, current: CurrentPlan | None, offer: dict[str, Any]) -> None:
    """Raise BadInput when what was chosen has no room any more, is for too few people, or would be another change now.

    A form that was sent twice finds what it has changed itself: the key in Stripe's metadata tells.
    """
    if current is None or current.row.stripe_id != offer["subscription_id"] or current.obstacle == "ends":
        raise BadInput(_(MOVED))
    order = plan_choice.read_choice(current, QueryDict(offer["choice"]))
    plan_people.refuse_too_few(profile, plan_people.count_change(profile, current, order))
    try:
        items = plan_choice.find_changes(current, order)
    except BadInput as refusal:
        if refusal.code == plan_choice.UNCHANGED:
            return
        raise
    if items != offer["items"]:
        raise BadInput(_(MOVED))


def _show(
    request: HttpRequest, profile: UserProfile, current: CurrentPlan | None, problem: BadInput | None = None
) -> HttpResponse:
    context: dict[str, Any] = {"profile": profile, "current": current, "problem": problem}
    if current is not None:
        has = current.choice
        asked = request.GET if "plan" in request.GET else None
        form = {
            "interval": asked.get("interval", "") if asked else has.interval,
            "plan": asked.get("plan", "") if asked else next((one for one in has.basket if current.shop.plan(one)), ""),
            "addons": asked.getlist("addons") if asked else list(has.basket),
        }
        plans = [one.product for one in current.shop.plans if not one.full]
        if form["interval"] not in current.shop.intervals:
            form["interval"] = "".join(current.shop.intervals[:1])
        storage = [
            {"offer": one, "quantity": request.GET.get(one.product.slug, has.basket.get(one.product.slug, 0))}
            for one in current.shop.storage
        ]
        context |= {
            "form": form,
            "storage": storage,
            "has": has,
            "people": people_field(plans, typed=request.GET.get(FIELD, ""), basket=has.basket),
            "card": overview.read_card(profile.stripe_customer_id or ""),
        }
    return render(request, "dashboard/plan.html", context, status=problem.status if problem else 200)
