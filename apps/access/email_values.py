"""What each lifecycle email says: its values from the subscriber's own rows at the time of sending, or None when it is no longer true.

Each function takes the subscriber and what the email is about: the job's key after the subscriber's number.
"""

import datetime as dt

from apps.access import existing_accounts, freezes, order_confirmation
from apps.access.order_confirmation import ConfirmedLine, OrderConfirmation
from apps.access.upcoming import Change, Upcoming, next_attempt, read_all
from apps.accounts.models import UserProfile
from apps.billing import refused_debits, stripe_objects, subscriptions
from apps.billing.cards import find_expiring_cards
from apps.billing.models import Subscription, UserSubscriptionItem
from apps.core import clock, dates
from apps.core.dates import day, day_time
from apps.core.money import format_money
from apps.core.states import AccessState, SubscriptionStatus, values_where

Values = dict[str, object]
RUNNING = values_where(SubscriptionStatus, lambda one: one.pays)
STEPS = {
    14: 7,
    7: 1,
    1: 0,
}  # days before a date, and when the next email about it is due: until then this one is worth sending


def format_day(moment: dt.datetime | None) -> str:
    """A date as emails write it, "3 December 2026" (UTC); empty for None."""
    return day(moment.astimezone(dt.UTC)) if moment else ""


def welcome(profile: UserProfile, subscription_id: str) -> Values | None:
    """The order as it is now; the password's link comes from Keycloak."""
    if not AccessState(profile.access_state).has_access:
        return None
    apps = [vars(one) for one in order_confirmation.list_apps(profile)]
    own = existing_accounts.had_own_account(profile)
    said: Values = {"username": profile.user.username, "has_password": own, "apps": apps}
    order = order_confirmation.read_order(profile, subscription_id)
    return said | _confirm(order) if order else said


def _confirm(order: OrderConfirmation) -> Values:
    """The order as something that lasts: what, at which price, paid when, what comes, and what they agreed to."""
    invoice = order.invoice
    return {
        "order": [_order_line(one) for one in order.lines],
        "renews": format_day(order.next_at),
        "trial_ends": format_day(order.lapses_at),
        "next_amount": format_money(order.amount, order.currency) if order.amount is not None else "",
        "paid": format_money(invoice.paid, invoice.currency) if invoice and invoice.paid else "",
        "paid_on": format_day(invoice.paid_at) if invoice else "",
        "invoice": invoice.number if invoice else "",
        "invoice_pdf": invoice.pdf if invoice else "",
        "terms_version": order.terms_version,
        "terms_link": order.terms_url,
        "terms_accepted": format_day(order.terms_accepted_at),
        "withdraw_until": day(order.withdraw_until) if order.withdraw_until else "",
    }


def order_lines(profile: UserProfile) -> list[dict[str, str]]:
    """What is paid for: name and price of each line that runs."""
    rows = UserSubscriptionItem.objects.filter(profile=profile, subscription__status__in=RUNNING)
    return [_order_line(ConfirmedLine.of(row)) for row in rows.select_related("product").order_by("pk")]


def _order_line(line: ConfirmedLine) -> dict[str, str]:
    return {"name": line.title, "price": line.price}


def cancellation(profile: UserProfile, _subscription_id: str) -> Values | None:
    """None when the subscriber is back, or has expired."""
    state = AccessState(profile.access_state)
    if not state.has_final_expiry or state == AccessState.EXPIRED:
        return None
    return {"sentence": profile.access_sentence, "final_date": format_day(profile.final_expiry_at)}


def shared_pause(profile: UserProfile, _about: str) -> Values | None:
    """None when the apps are open again, or what is late is the subscriber's own by now."""
    is_closed = profile.access_state == AccessState.SUSPENDED
    return {} if is_closed and profile.is_paid_for else None


def shared_end(profile: UserProfile, about: str) -> Values | None:
    """The same of a subscription that another one paid for."""
    values = cancellation(profile, about)
    return {"final_date": values["final_date"]} if values else None


def failed_payment(profile: UserProfile, invoice_id: str) -> Values | None:
    """How to pay, and when Stripe tries again. None once nothing is to be paid."""
    url = subscriptions.find_open_invoice(profile.stripe_customer_id, invoice_id)
    attempt = next_attempt(profile.forecast, now=clock.now())
    if url is None:
        return None
    is_spared = profile.access_state == AccessState.GRACE and profile.access_until is not None
    return {
        "until": format_day(profile.access_until) if is_spared else "",
        "sentence": "" if is_spared else profile.access_sentence,
        "invoice_url": url,
        "next_attempt": format_day(attempt.at) if attempt else "",
    }


def refused_debit(profile: UserProfile, invoice_id: str) -> Values | None:
    """The same of a debit, with the account and what the bank says."""
    values = failed_payment(profile, invoice_id)
    debit = refused_debits.find_refused_debit(profile.stripe_customer_id, invoice_id)
    return values and values | {"account": debit.account if debit else "", "why": debit.why if debit else ""}


def asked_to_confirm(profile: UserProfile, invoice_id: str) -> Values | None:
    """None once it is paid."""
    url = subscriptions.find_open_invoice(profile.stripe_customer_id, invoice_id)
    return {"invoice_url": url} if url else None


def expiring_card(profile: UserProfile, about: str) -> Values | None:
    """None when another card is charged now, or this one was renewed."""
    card_id, month, _told = about.split(":")
    last = dt.date.fromisoformat(f"{month}-01")
    for card in find_expiring_cards(last.year, last.month):
        if (card.id, card.customer_id) == (card_id, profile.stripe_customer_id):
            return {"card": card.name, "month": dates.month(last)}
    return None


def recovery(profile: UserProfile, window_end: str) -> Values | None:
    """Until when the account is open; None when it is not any more."""
    until = profile.recovering_until
    if until is None or until <= clock.now() or int(until.timestamp()) != int(window_end):
        return None
    end = dt.datetime.fromtimestamp(int(window_end), dt.UTC)
    return {"until": f"{day_time(end)} UTC"}


def reminder(profile: UserProfile, about: str) -> Values | None:
    """None when the subscriber is back, the date has moved and has reminders of its own, or the next one is due."""
    final, days = _about(about, days=7)
    is_that = profile.final_expiry_at is not None and int(profile.final_expiry_at.timestamp()) == final
    if not is_that or not AccessState(profile.access_state).awaits_expiry or not _is_in_time(final, days):
        return None
    if freezes.holds_at(profile, final):
        return None
    return {"final_date": format_day(profile.final_expiry_at)}


def expiry(profile: UserProfile, _final: str) -> Values | None:
    """None when the subscriber came back."""
    return {} if profile.access_state == AccessState.EXPIRED else None


def trial(profile: UserProfile, about: str) -> Values | None:
    """None when the trial has another end now, or none."""
    moment, days = _about(about, days=1)
    found = _upcoming(profile, moment, {Change.TRIAL_ENDS}) or _upcoming(profile, moment, {Change.TRIAL_LAPSES})
    if found is None or not _is_in_time(moment, days):
        return None
    amounts = {line["price"] for line in order_lines(profile)}
    amount = amounts.pop() if len(amounts) == 1 else ""
    lapses = found.change == Change.TRIAL_LAPSES
    return {"date": format_day(found.at), "amount": amount, "lapses": lapses, "closes": lapses and found.is_loss}


def shared_trial(profile: UserProfile, about: str) -> Values | None:
    """None when a card was added, the trial has another end now, or its end closes nothing for this member."""
    moment, days = _about(about, days=1)
    found = _upcoming(profile, moment, {Change.TRIAL_LAPSES})
    if found is None or not (found.is_shared and found.is_loss and _is_in_time(moment, days)):
        return None
    return {"date": format_day(found.at)}


def access_ends(profile: UserProfile, about: str) -> Values | None:
    """None when access goes on at that moment, also because incident mode will hold it back."""
    moment, days = _about(about, days=1)
    found = _upcoming(profile, moment, set(Change))
    if (
        found is None
        or not found.is_loss
        or AccessState(profile.access_state).is_closed
        or not _is_in_time(moment, days)
        or freezes.holds_at(profile, moment)
    ):
        return None
    states = subscriptions.read_subscriptions(profile.stripe_customer_id)
    urls = [one.open_invoice_url for one in states if one.open_invoice_url and SubscriptionStatus(one.status).is_late]
    return {"date": format_day(found.at), "sentence": found.sentence, "invoice_url": urls[0] if urls else ""}


def scheduled_cancellation(profile: UserProfile, about: str) -> Values | None:
    """None when it was taken back, or is over."""
    found = _upcoming(profile, int(about.partition(":")[0]), {Change.SUBSCRIPTION_ENDS})
    if found is None or not AccessState(profile.access_state).has_access:
        return None
    final = [one.at for one in read_all(profile.forecast) if one.change == Change.FINAL_EXPIRY]
    return {"date": format_day(found.at), "final_date": format_day(final[0]) if final else ""}


def only_active(profile: UserProfile, _about: str) -> Values | None:
    """For what says that all is well."""
    return {} if profile.access_state == AccessState.ACTIVE else None


def changed_plan(profile: UserProfile, about: str) -> Values | None:
    """None when it has changed once more, which has an email of its own."""
    subscription_id, lines, _day = about.split(":")
    is_that = Subscription.objects.filter(stripe_id=subscription_id, lines_digest=lines, status__in=RUNNING).exists()
    return {"order": order_lines(profile)} if is_that else None


def refund(profile: UserProfile, refund_id: str) -> Values:
    """How much, and what it means for access."""
    return {"amount": stripe_objects.refunded_amount(refund_id), "sentence": profile.access_sentence}


def duplicate(profile: UserProfile, subscription_id: str) -> Values | None:
    """None when it has ended meanwhile."""
    running = [one for one in subscriptions.read_subscriptions(profile.stripe_customer_id) if one.status in RUNNING]
    return {} if len(running) > 1 and any(one.id == subscription_id for one in running) else None


def _about(about: str, *, days: int) -> tuple[int, int]:
    """The moment in seconds, and how many days before it the email is sent; `days` where the key does not say."""
    moment, _, before = about.partition(":")
    return int(moment), int(before or days)


def _is_in_time(moment: int, days: int) -> bool:
    """Whether the email of `days` before still says something new: not after the next one, nor after the date."""
    return clock.timestamp() < moment - STEPS[days] * 86_400


def _upcoming(profile: UserProfile, moment: int, changes: set[Change]) -> Upcoming | None:
    """The change that is still foreseen for this moment."""
    found = (one for one in read_all(profile.forecast) if one.change in changes and int(one.at.timestamp()) == moment)
    return next((one for one in found if one.is_loss or len(changes) == 1), None)
