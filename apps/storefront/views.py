"""The wizard's pages: plans and prices, plan, storage, checkout, cancel. Each reads the shop and one Signup row, and answers a form."""

from copy import copy
from typing import Any

from csp.decorators import csp_update
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from apps.accounts.models import Signup
from apps.billing.stripe_pages import allow_forms_to
from apps.core import languages
from apps.core.addresses import shown_email
from apps.core.errors import BadInput
from apps.identity import user_profile
from apps.onboarding import basket, mailbox_code
from apps.onboarding.basket import Shop
from apps.onboarding.order_people import FIELD, people_field
from apps.storefront import checkout_forms, signup_proof, wizard
from apps.storefront.account_form import read_first_name
from apps.storefront.plan_comparison import compare_plans

READ_AND_WRITE = require_http_methods(["GET", "HEAD", "POST"])
STRIPE_CSP = dict.fromkeys(("script-src", "frame-src", "connect-src"), settings.STRIPE_CSP_HOSTS)
STRIPE_CSP["form-action"] = allow_forms_to("checkout")  # without JavaScript


@READ_AND_WRITE
def welcome(request: HttpRequest) -> HttpResponse:
    """Step 1: what there is and what it costs, and the first name of those who like to give it."""
    signup = wizard.current_signup(request)
    problem: BadInput | None = None
    first_name = request.POST.get("first_name", signup.first_name if signup else "")
    if request.method == "POST" and mailbox_code.FIELD not in request.POST:
        if not first_name.strip() and signup is None:
            return redirect("onboarding-plan")  # the plan that is chosen there begins the sign-up
        try:
            wizard.start_signup(request, first_name=read_first_name(first_name) if first_name.strip() else "")
            return redirect("onboarding-plan")
        except BadInput as refusal:
            problem = refusal
    elif signup is not None and wizard.has_just_confirmed_email(request, signup):
        return redirect("onboarding-plan")
    shop = Shop.load(signup.profile if signup else None)
    confirm = signup is not None and wizard.must_confirm_email(request, signup)
    reached = wizard.first_unanswered_step(request, signup, shop)
    context = {
        "first_name": first_name,
        "confirm": confirm,
        "mailbox": signup_proof.PROOF.step(request),
        "action": reverse("onboarding-confirm"),
        "shop": shop,
        "interval": _interval(request, shop, signup),
        "comparison": compare_plans(shop),
        "promises": languages.operators_text("BRAND_PROMISES"),
        "paid": signup is None and wizard.find_signup(request) is not None,
        "steps": wizard.step_links(wizard.WELCOME, reached if confirm else max(reached, wizard.PLAN)),
    }
    return _page(request, "welcome", context, problem)


@READ_AND_WRITE
@wizard.wizard_page(wizard.PLAN)
def plan(request: HttpRequest, signup: Signup, shop: Shop) -> HttpResponse:
    """Step 2: a plan, monthly or yearly, and general add-ons. A link can name a plan and an interval: they are selected."""
    problem: BadInput | None = None
    linked = shop.plan(request.GET.get("plan", ""))
    if linked is not None and linked.full and request.method != "POST":
        return redirect(f"{reverse('onboarding-waitlist')}?{urlencode({'product': linked.product.slug})}")
    form = _plan_form(request, signup, shop)
    if request.method == "POST":
        try:
            _choose(shop, signup, form)
            if signup._state.adding:
                wizard.begin_signup(request, signup)
            else:
                signup.save(update_fields=["interval", "basket"])
            return redirect(_after_plan(request, signup, shop))
        except BadInput as refusal:
            problem = refusal
    reached = wizard.first_unanswered_step(request, signup, shop)
    plans = [offer.product for offer in shop.plans if not offer.full]
    context = {
        "shop": shop,
        "form": form,
        "people": people_field(plans, typed=form[FIELD], basket=signup.basket),
        "steps": wizard.step_links(wizard.PLAN, reached),
    }
    return _page(request, "plan", context | _plan_order(shop, signup, form), problem)


def _plan_form(request: HttpRequest, signup: Signup, shop: Shop) -> dict[str, Any]:
    """What the page's fields show: what was sent, else what the address asks for, else what was chosen before."""
    if request.method == "POST":
        return {name: request.POST.get(name, "") for name in ("interval", "plan", FIELD)} | {
            "addons": request.POST.getlist("addons")
        }
    asked, chosen = request.GET, shop.plan_in(signup.basket)
    general = {offer.product.slug for offer in shop.general}
    selected = shop.plan(asked.get("plan", "")) or chosen
    return {
        "interval": _interval(request, shop, signup),
        "plan": selected.product.slug if selected else _suggested(shop),
        FIELD: asked.get(FIELD, ""),
        "addons": asked.getlist("addons") if "plan" in asked else [slug for slug in signup.basket if slug in general],
    }


def _choose(shop: Shop, signup: Signup, form: dict[str, Any]) -> None:
    """Put what the form says into the basket."""
    basket.choose_plan(
        shop, signup, interval=form["interval"], slug=form["plan"], addons=form["addons"], people=form[FIELD]
    )


def _plan_order(shop: Shop, signup: Signup, form: dict[str, Any]) -> dict[str, Any]:
    """What this choice would cost, or why it is none. Nothing is kept."""
    tried = copy(signup)
    try:
        _choose(shop, tried, form)
    except BadInput as refusal:
        return {"order": None, "order_problem": refusal.message}
    return _order(shop, tried)


def _order(shop: Shop, signup: Signup) -> dict[str, Any]:
    order = shop.signup_order(signup)
    return {"order": order.summary if order else None}


def _interval(request: HttpRequest, shop: Shop, signup: Signup | None) -> str:
    """Monthly or yearly at first: as the address asks, else as chosen before."""
    wishes = [request.GET.get("interval", ""), signup.interval if signup else "", *shop.intervals]
    return next((name for name in wishes if name in shop.intervals), "")


def _suggested(shop: Shop) -> str:
    """The plan selected at first: the recommended one with room, else the first with room."""
    open_plans = sorted(
        (offer for offer in shop.plans if not offer.full),
        key=lambda offer: not offer.product.highlighted,
    )
    return open_plans[0].product.slug if open_plans else ""


def _after_plan(request: HttpRequest, signup: Signup, shop: Shop) -> str:
    """Storage, unless there is none to choose."""
    if _storage(shop, signup):
        return "onboarding-addons"
    request.session[wizard.ADDONS_SEEN] = True
    return "onboarding-checkout"


def _storage(shop: Shop, signup: Signup) -> list[basket.Offer]:
    chosen = shop.plan_in(signup.basket)
    return shop.addons(shop.storage, plan=chosen, interval=signup.interval)


@READ_AND_WRITE
@wizard.wizard_page(wizard.ADDONS)
def addons(request: HttpRequest, signup: Signup, shop: Shop) -> HttpResponse:
    """Step 3: storage add-ons with quantities."""
    problem: BadInput | None = None
    sent = request.POST if request.method == "POST" else request.GET
    storage = _storage(shop, signup)
    order: dict[str, Any] = {}
    tried = copy(signup)
    try:
        if any(offer.product.slug in sent for offer in storage) or request.method == "POST":
            basket.choose_storage(shop, tried, quantities=sent.dict())
        order = _order(shop, tried)
    except BadInput as refusal:
        problem, order = refusal, {"order": None, "order_problem": refusal.message}
    if request.method == "POST" and problem is None:
        signup.basket = tried.basket
        signup.save(update_fields=["basket"])
        request.session[wizard.ADDONS_SEEN] = True
        return redirect("onboarding-checkout")
    rows = [
        {
            "offer": offer,
            "price": offer.prices[signup.interval],
            "quantity": sent.get(offer.product.slug, signup.basket.get(offer.product.slug, 0)),
        }
        for offer in storage
    ]
    steps = wizard.step_links(wizard.ADDONS, wizard.first_unanswered_step(request, signup, shop))
    refused = problem if request.method == "POST" else None  # of a choice that is only tried the order says why
    return _page(request, "addons", {"rows": rows, "steps": steps} | order, refused)


@READ_AND_WRITE
@csp_update(STRIPE_CSP)
@wizard.wizard_page(wizard.CHECKOUT)
def checkout(request: HttpRequest, signup: Signup, shop: Shop) -> HttpResponse:
    """Step 4: confirm the address, create the account, and pay in Stripe's form, or on its page without JavaScript."""
    problem: BadInput | None = None
    if request.method == "POST":
        try:
            done = checkout_forms.answer_form(request, signup)
            if done is not None:
                return done
        except BadInput as refusal:
            problem = refusal
    embedded = settings.STRIPE_CHECKOUT_UI == "embedded"
    proven = signup.email if signup.email_proven_at else ""
    of_mailbox = mailbox_code.FIELD in request.POST
    already = of_mailbox and problem is None
    step = signup_proof.PROOF.step(request, proven=proven, problem=problem if of_mailbox else None, already=already)
    context: dict[str, Any] = {
        "signup": signup,
        "mailbox": step,
        "proven": step.name == "proven",
        "keep": shown_email(proven) if proven else "",
        "typed": request.POST.get("email", ""),
        "last_name_required": user_profile.is_required("lastName"),
        "stripe_js_url": settings.STRIPE_JS_URL if embedded else "",
        "steps": wizard.step_links(wizard.CHECKOUT, wizard.CHECKOUT),
    }
    context |= checkout_forms.shown(request, signup, problem)
    context["banner"] = problem if problem and not context["errors"] and (not of_mailbox or context["proven"]) else None
    return _page(request, "checkout", context | _order(shop, signup), problem)


@READ_AND_WRITE
def confirm(request: HttpRequest) -> HttpResponse:
    """Where the link in a code's email leads, in this browser or another one; the person confirms by a button."""
    signup = wizard.current_signup(request)
    problem: BadInput | None = None
    already = False
    if request.method == "POST":
        try:
            already = signup_proof.answer(request, signup).already
        except BadInput as refusal:
            problem = refusal
        if not (problem or already):
            return redirect("onboarding-checkout")
    step = signup_proof.PROOF.step(request, problem=problem, already=already)
    if signup is None and not step.link:
        stale = step.problem is not None and step.problem.code == "stale_link"
        messages.warning(request, _(mailbox_code.STALE if stale else wizard.ENDED))
        return redirect("onboarding-welcome")
    context = {"mailbox": step, "elsewhere": signup is None, "typed": request.POST.get("email", "")}
    return _page(request, "confirm_email", context, problem)


@require_safe
def cancel(request: HttpRequest) -> HttpResponse:
    """Where Stripe's hosted page returns to without a payment: nothing was charged, every answer is kept."""
    return _page(request, "cancel", {"signup": wizard.current_signup(request)})


def _page(request: HttpRequest, name: str, context: dict[str, Any], problem: BadInput | None = None) -> HttpResponse:
    status = problem.status if problem else 200
    return render(request, f"storefront/{name}.html", context | {"problem": problem}, status=status)
