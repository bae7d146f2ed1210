"""The copy of a person's data to read and print (GDPR, article 15): the rows of `privacy.export`, all of them, in plain words.

Promises: it holds what the JSON file holds and leaves out only what is empty; each table has a title and says what it is for.
"""

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from apps.core.dates import short_day

# Each table by its title and what it is; in the order of the copy.
SECTIONS: dict[str, tuple[str, str]] = {
    "auth.User": (gettext_noop("Your name"), gettext_noop("How you are called here.")),
    "accounts.UserProfile": (
        gettext_noop("Your subscription and access"),
        gettext_noop("What you have, why, and until when."),
    ),
    "account.EmailAddress": (
        gettext_noop("Your email addresses"),
        gettext_noop("Addresses that you have proven to be yours."),
    ),
    "socialaccount.SocialAccount": (
        gettext_noop("Your account"),
        gettext_noop("What the login server says about you."),
    ),
    "usersessions.UserSession": (gettext_noop("Your logins"), gettext_noop("Browsers in which you are logged in.")),
    "accounts.Signup": (
        gettext_noop("Your signups"),
        gettext_noop("What you entered when you signed up, and the terms you accepted."),
    ),
    "onboarding.WaitlistEntry": (
        gettext_noop("The waitlist"),
        gettext_noop("Products for which you wait or have waited."),
    ),
    "billing.Subscription": (
        gettext_noop("Your subscriptions"),
        gettext_noop("What Stripe, who collects your payments, says about them."),
    ),
    "billing.UserSubscriptionItem": (gettext_noop("What you pay for"), gettext_noop("The lines of your subscription.")),
    "accounts.Membership": (
        gettext_noop("Shared subscriptions"),
        gettext_noop("For whom you pay, or who pays for you, and who was invited."),
    ),
    "billing.Discount": (gettext_noop("Your coupons"), gettext_noop("Coupons you use or used, and until when.")),
    "instances.Seat": (gettext_noop("Your seats"), gettext_noop("Where your products run.")),
    "instances.ProductAccount": (
        gettext_noop("Your accounts in apps"),
        gettext_noop("Which apps know you, how much storage is yours there, and how much of it you use."),
    ),
    "instances.SeatWait": (
        gettext_noop("Seats you wait for"),
        gettext_noop("Products that had no room when you paid."),
    ),
    "djstripe.Customer": (
        gettext_noop("You as a customer of Stripe"),
        gettext_noop("Name and address for your invoices."),
    ),
    "djstripe.Subscription": (
        gettext_noop("Subscriptions, as Stripe has them"),
        gettext_noop("The same as above, in full."),
    ),
    "djstripe.Invoice": (gettext_noop("Your invoices"), gettext_noop("What you were asked to pay.")),
    "djstripe.Charge": (gettext_noop("Your payments"), gettext_noop("What was taken, and what was given back.")),
    "djstripe.PaymentMethod": (
        gettext_noop("Your cards and accounts"),
        gettext_noop("How you pay. The whole number is at Stripe alone."),
    ),
    "notifications.Notification": (
        gettext_noop("Emails to you"),
        gettext_noop("What we wrote to you, and whether it arrived."),
    ),
    "access.AccessOverride": (
        gettext_noop("Decisions about your access"),
        gettext_noop("What staff decided, and why."),
    ),
    "access.TermsChange": (
        gettext_noop("Terms of your own"),
        gettext_noop("Where other terms hold for you than for all."),
    ),
    "accounts.StaffNote": (gettext_noop("Notes about you"), gettext_noop("What staff noted.")),
    "accounts.PrivacyRequest": (
        gettext_noop("Your privacy requests"),
        gettext_noop("What you asked for, and what was answered."),
    ),
    "onboarding.AddressChange": (
        gettext_noop("Changes of your address"),
        gettext_noop("Which address you had before, and when you changed it."),
    ),
    "operations.DataCopy": (
        gettext_noop("Copies of your data"),
        gettext_noop("When you asked for one here, and until when it stays."),
    ),
    "operations.CustomerChange": (
        gettext_noop("Changes for other systems"),
        gettext_noop("When something about you changed, so that our other systems know to read it again."),
    ),
    "accounts.LegalHold": (gettext_noop("Legal holds"), gettext_noop("Why your data has to be kept.")),
    "accounts.ErasureAttempt": (
        gettext_noop("Attempts to erase"),
        gettext_noop("When your data was to go, and why it stayed."),
    ),
    "operations.ApprovalRequest": (
        gettext_noop("Decisions by two people"),
        gettext_noop("What staff asked another one to approve about you."),
    ),
    "core.AuditEntry": (
        gettext_noop("What was done"),
        gettext_noop("Each change to your subscription and access, and who made it."),
    ),
    "core.AttentionItem": (gettext_noop("What needed attention"), gettext_noop("Problems that staff had to look at.")),
    "access.HeldBackLoss": (
        gettext_noop("Losses held back"),
        gettext_noop("Access that you kept while changes were stopped."),
    ),
    "access.LastSync": (gettext_noop("The last check of your access"), gettext_noop("What it changed.")),
    "operations.Drift": (
        gettext_noop("Differences"),
        gettext_noop("Where the login server did not say what it should."),
    ),
    "operations.SeatMove": (
        gettext_noop("Moves of your seats"),
        gettext_noop("Where your products were to run instead, and what you answered."),
    ),
    "operations.ImportRow": (
        gettext_noop("How you came here"),
        gettext_noop("What was taken over when your account was brought here from elsewhere."),
    ),
    "operations.SyncResult": (
        gettext_noop("Checks in bulk"),
        gettext_noop("What a check of many people changed for you."),
    ),
    "operations.TermsPreviewPerson": (
        gettext_noop("Previews of terms"),
        gettext_noop("What changed terms would have done for you, before they were saved."),
    ),
    "operations.TermsPreview": (
        gettext_noop("Previews of your own terms"),
        gettext_noop("Terms considered for you alone."),
    ),
    "core.Job": (gettext_noop("Work in the background"), gettext_noop("What the system did for you, step by step.")),
    "billing.InboundEvent": (gettext_noop("Messages from Stripe"), gettext_noop("What Stripe told us about you.")),
    "admin.LogEntry": (gettext_noop("Changes by hand"), gettext_noop("Is always empty: the list above has them.")),
}


@dataclass(frozen=True)
class CopySection:
    """One table: its rows, each as names and values."""

    title: str
    about: str
    rows: tuple[tuple[tuple[str, str], ...], ...]


@dataclass(frozen=True)
class PersonalCopy:
    """`empty`: titles of the tables that hold nothing about the person."""

    sections: tuple[CopySection, ...]
    empty: tuple[str, ...]
    kept: tuple[tuple[str, int], ...]


def compose(exported: dict[str, list[dict[str, Any]]]) -> PersonalCopy:
    """The copy of what `privacy.export` found."""
    order = {label: number for number, label in enumerate(SECTIONS)}
    labels = sorted(exported, key=lambda label: order.get(label, len(order)))
    filled = [label for label in labels if exported[label]]
    return PersonalCopy(
        sections=tuple(CopySection(*_title(one), _rows(one, exported[one])) for one in filled),
        empty=tuple(_title(one)[0] for one in labels if not exported[one]),
        kept=tuple(_retention()),
    )


@cache
def _models() -> dict[str, type[models.Model]]:
    return {one._meta.label: one for one in apps.get_models()}


def _retention() -> Iterator[tuple[str, int]]:
    """How many days what is kept, in the words of a customer."""
    named = {
        "expired_customers": _("All about you, after your seat is gone for good"), "emails": _("Emails"),
        "events": _("Messages from Stripe"), "jobs": _("Work in the background"),
        "left_waitlist": _("Places on the waitlist, once you have left it"),
    }  # fmt: skip
    for name, words in named.items():
        yield words, settings.RETENTION[name]


def _title(label: str) -> tuple[str, str]:
    if label in SECTIONS:
        title, about = SECTIONS[label]
        return _(title), _(about)
    return str(_models()[label]._meta.verbose_name_plural).capitalize(), ""


def _rows(label: str, rows: list[dict[str, Any]]) -> tuple[tuple[tuple[str, str], ...], ...]:
    fields = {one.attname: one for one in _models()[label]._meta.concrete_fields}
    return tuple(tuple(_values(fields, row)) for row in rows)


def _values(fields: dict[str, models.Field[Any, Any]], row: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in row.items():
        if value in (None, "", [], {}):
            continue
        yield str(fields[name].verbose_name).capitalize(), _in_words(fields[name], value)


def _in_words(field: models.Field[Any, Any], value: Any) -> str:
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, (dict, list)):
        return json.dumps(value, indent=2, ensure_ascii=False)
    if isinstance(field, models.DateTimeField):
        moment = dt.datetime.fromisoformat(value).astimezone(dt.UTC)
        return f"{short_day(moment)}, {moment:%H:%M} UTC"
    if field.choices:
        return str(dict(field.flatchoices).get(value, value))
    return str(value)
