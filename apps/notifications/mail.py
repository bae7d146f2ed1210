"""Mails, one Notification row each: asked for in the caller's transaction, sent by a job, at most once per key.

Promises:
1. `notify` with a key that exists does nothing. Mailgun has no idempotency key; the row is the only guard against doubles.
2. The row says `sending` before Mailgun is called. A run that finds this, or loses the answer, counts a lost answer; the mail
   is sent once more, and after the second lost answer no more: staff may send it again, as a mail of its own (`repeats`).
3. What Mailgun refuses for good is `failed`, with its words, and an operator's work unless a stranger typed the address;
   what it cannot take now stays queued.
4. One-time codes (`notify_secret`) and links that are a right to act lie encrypted in the row, until they are sent or given up.
"""

import datetime as dt
from typing import Any

import structlog
from django.db import transaction
from django.db.models import F, Q, QuerySet

from apps.accounts import legal_holds
from apps.accounts.models import UserProfile
from apps.core import audit, clock, encryption, jobs, languages, retention
from apps.core.audit_actions import AuditAction
from apps.core.errors import NeedsOperator, RetryLater
from apps.core.models import Job
from apps.notifications import email_templates, mailgun
from apps.notifications.email_list import EMAILS, STAFF, TYPED, kind_of
from apps.notifications.email_list import KEYCLOAK_TEMPLATE as KEYCLOAK_TEMPLATE
from apps.notifications.models import Notification

log = structlog.get_logger(__name__)

KIND = "send_notification"
MAX_LOST_ANSWERS = 2
UNUSABLE_DOMAIN = ".invalid"  # a domain that nobody can have (RFC 2606)
# Anybody may type an address that nobody has: no work for an operator, unlike the address of a subscriber.
TO_TYPED_ADDRESSES = {name for name, one in EMAILS.items() if one.to == TYPED}
LINKS = {
    "confirm_url",
    "invite_url",
    "leave_url",
    "object_url",
}  # each is a right to act: never readable, gone with the mail
FINAL = (Notification.State.SENT, Notification.State.FAILED)


def notify(
    *,
    key: str,
    template: str,
    to: str,
    profile: UserProfile | None = None,
    context: dict[str, Any] | None = None,
    repeats: Notification | None = None,
) -> bool:
    """Ask for one mail; returns whether it is new. `template` and its values: see `email_templates.VALUES` (ValueError when they do not fit).

    `key` says what the mail is about, for example "expired:<profile id>:<date>": asking again with it does nothing. `repeats`: the mail
    that staff send again by this one. It is written in the language of `profile`; without one, in the active one; to staff in English.
    """
    values = context or {}
    email_templates.check_values(template, values)
    links = {name: str(value) for name, value in values.items() if name in LINKS}
    readable = {name: value for name, value in values.items() if name not in LINKS}
    encrypted = encryption.encrypt(links) if links else ""
    spoken = languages.best(profile.language) if profile else languages.active()
    if kind_of(template).to == STAFF:
        spoken = languages.DEFAULT
    return _queue(
        Notification(
            key=key, template=template, to=to, language=spoken, profile=profile, context=readable, encrypted=encrypted, repeats=repeats
        )
    )  # fmt: skip


def notify_secret(*, key: str, template: str, to: str, secret_context: dict[str, str], valid_for: dt.timedelta) -> None:
    """Ask for one mail whose values must not lie readable in the database.

    They are kept encrypted and wiped once the mail has left, was refused, or `valid_for` is over: then it is not sent.
    """
    email_templates.check_values(template, secret_context)
    encrypted, useless_after = encryption.encrypt(secret_context), clock.now() + valid_for
    wanted = Notification(
        key=key, template=template, to=to, language=languages.active(), encrypted=encrypted, useless_after=useless_after
    )
    _queue(wanted, importance=Job.Importance.PERSON_WAITS)


def of_person(profile: UserProfile) -> Q:
    """The mails to a subscriber, as a filter: also those without a subscriber that went to the present address, such as codes."""
    return Q(profile=profile) | Q(profile=None, to__iexact=profile.email)


@transaction.atomic
def record_keycloak_email(profile: UserProfile) -> None:
    """Record the set-password email, which Keycloak has sent itself; its jobs run one at a time for each profile."""
    prefix, now = f"{KEYCLOAK_TEMPLATE}:{profile.pk}:", clock.now()
    key = f"{prefix}{Notification.objects.filter(key__startswith=prefix).count() + 1}"
    state, template = Notification.State.SENT, KEYCLOAK_TEMPLATE
    Notification.objects.create(
        key=key, template=template, profile=profile, to=profile.email, state=state, created_at=now, sent_at=now
    )
    audit.record(subject=profile.subject, action=AuditAction.PASSWORD_EMAIL_SENT, after={"mail": key})


@transaction.atomic
def _queue(wanted: Notification, *, importance: Job.Importance | None = None) -> bool:
    wanted.created_at = clock.now()
    fields = {
        field.attname: getattr(wanted, field.attname)
        for field in Notification._meta.concrete_fields
        if not field.primary_key and field.attname != "key"
    }
    row, new = Notification.objects.get_or_create(key=wanted.key, defaults=fields)
    if new:
        jobs.defer(KIND, row.pk, reason=wanted.template, importance=importance)
    return new


@transaction.atomic
def doubt_queued(before: dt.datetime) -> int:
    """Mails that a restored database says are still to be sent may have been sent: staff decide; returns how many."""
    rows = Notification.objects.filter(
        state__in=[Notification.State.QUEUED, Notification.State.SENDING], created_at__lt=before
    )
    ids = list(rows.values_list("pk", flat=True))
    why = "The database was restored; it may have been sent before. Mailgun's log knows."
    jobs.supersede_waiting(KIND, [str(one) for one in ids], before=before, why=why)
    return Notification.objects.filter(pk__in=ids).update(state=Notification.State.UNCERTAIN, error=why)


def prune(before: dt.datetime) -> int:
    """Delete old mails that concern no subscriber; of the others only the key stays, so that none is ever sent twice."""
    old = _not_held(Notification.objects.filter(state__in=FINAL, created_at__lt=before))
    count = retention.delete_in_batches(old.filter(profile=None))
    named = old.exclude(to="")
    return count + retention.update_in_batches(
        named, to="", context={}, encrypted="", error="", provider_id="", delivery_reason=""
    )


def overdue(before: dt.datetime) -> QuerySet[Notification]:
    """Mails of before then that are final and still say to whom or what, or concern no subscriber."""
    empty = Q(profile__isnull=False, to="", context={}, error="", provider_id="", encrypted="", delivery_reason="")
    return _not_held(Notification.objects.filter(state__in=FINAL, created_at__lt=before)).exclude(empty)


def prune_contents(before: dt.datetime) -> int:
    """Empty what sent mails were filled in with, and wipe codes and links of those that may have been sent."""
    wiped = retention.update_in_batches(old_links(before), encrypted="")
    return wiped + retention.update_in_batches(sent_contents(before), context={})


def sent_contents(before: dt.datetime) -> QuerySet[Notification]:
    """Sent mails of before then that still hold what they were filled in with."""
    sent = Notification.objects.filter(state=Notification.State.SENT, created_at__lt=before)
    return _not_held(sent).exclude(context={})


def _not_held(emails: QuerySet[Notification]) -> QuerySet[Notification]:
    """Without those to people under a legal hold. Codes and links go nevertheless: they prove nothing."""
    return emails.exclude(profile__in=legal_holds.held_profiles())


def old_links(before: dt.datetime) -> QuerySet[Notification]:
    """Mails of before then that failed, or may have been sent, and still hold a link."""
    given_up = [*FINAL, Notification.State.UNCERTAIN]
    return Notification.objects.filter(state__in=given_up, created_at__lt=before).exclude(encrypted="")


def count_contents(before: dt.datetime) -> int:
    """How many of both there are."""
    return sent_contents(before).count() + old_links(before).count()


def renew_encryption() -> tuple[int, int]:
    """Encrypt again, under the present key, what waits or is kept encrypted; how many there were, and how many cannot be read."""
    renewed = unreadable = 0
    rows = Notification.objects.exclude(encrypted="").values_list("pk", "encrypted")
    for pk, encrypted in rows.iterator(chunk_size=1_000):
        if encryption.is_current(encrypted):
            continue
        try:
            again = encryption.encrypt(encryption.decrypt(encrypted))
        except encryption.DecryptionError:
            unreadable += 1
            continue
        # What has been sent or wiped meanwhile stays so.
        renewed += Notification.objects.filter(pk=pk, encrypted=encrypted).update(encrypted=again)
    return renewed, unreadable


# --- the job -----------------------------------------------------------------------------------------------------------


def send_notification(key: str) -> None:
    """The job: send the Notification with id `key`. One runs at a time for each, so a row that says `sending` is a trace."""
    row = Notification.objects.filter(pk=key).first()
    if row is None or row.state in FINAL:
        return
    if row.delivery:  # its answer was lost, and Mailgun has told since what became of it
        _write_state(row, state=Notification.State.SENT, provider_id=row.provider_id)
        return
    if row.state == Notification.State.SENDING:  # its worker died between the call and its record
        _note_lost_answer(row, "The worker died while the mail was being sent.")
    if row.useless_after and clock.now() > row.useless_after:
        _write_state(row, state=Notification.State.FAILED, error="Too late: what it says is no longer valid.")
        return
    if row.to.endswith(UNUSABLE_DOMAIN):
        _write_state(row, state=Notification.State.FAILED, error="Nobody can have this address.")
        return
    if row.lost_answers >= MAX_LOST_ANSWERS:
        raise NeedsOperator(
            f"Mail {row.pk} was handed to Mailgun {row.lost_answers} times without an answer."
            " Look in Mailgun's log; send it again, on its own page, only if it is not there."
        )
    email = _render(row)
    _write_state(row, state=Notification.State.SENDING)
    _hand_over(row, email)


def _render(row: Notification) -> email_templates.RenderedEmail:
    values = row.context
    if row.encrypted:
        try:
            values = values | encryption.decrypt(row.encrypted)
        except encryption.DecryptionError as error:
            reason = "Its code or link cannot be read any more: SECRET_KEY was changed."
            _write_state(row, state=Notification.State.FAILED, error=reason)
            raise NeedsOperator(f"Mail {row.pk} was not sent. {reason}") from error
    with languages.speaking(row.language):
        return email_templates.render_email(row.template, values)


def _hand_over(row: Notification, email: email_templates.RenderedEmail) -> None:
    """Call Mailgun and record how it ended; raises what the job ledger has to know."""
    try:
        provider_id = mailgun.send(email, to=row.to, tag=row.template, notification_id=row.pk)
    except mailgun.RefusedError as refused:
        _write_state(row, state=Notification.State.FAILED, error=str(refused))
        if isinstance(refused, mailgun.AddressRefusedError) and row.template in TO_TYPED_ADDRESSES:
            return
        raise NeedsOperator(f"Mailgun refuses mail {row.pk}: {refused}") from refused
    except mailgun.AnswerLostError as lost:
        _note_lost_answer(row, "Mailgun's answer was lost.")
        raise RetryLater(f"Mailgun's answer about mail {row.pk} was lost; it may have been sent.") from lost
    except Exception:  # not taken for sure (DependencyDown, RetryLater), or a bug of ours before anything left
        back = Notification.State.UNCERTAIN if row.lost_answers else Notification.State.QUEUED
        _write_state(row, state=back)
        raise
    _write_state(row, state=Notification.State.SENT, provider_id=provider_id)


def _note_lost_answer(row: Notification, why: str) -> None:
    """Count it: the mail may be out. After the last one a code is wiped, since nothing sends it automatically."""
    Notification.objects.filter(pk=row.pk).update(lost_answers=F("lost_answers") + 1)
    row.refresh_from_db(fields=["lost_answers"])
    log.warning("mail_answer_lost", notification=row.pk, count=row.lost_answers)
    _write_state(row, state=Notification.State.UNCERTAIN, error=why)


def _write_state(row: Notification, *, state: Notification.State, error: str = "", provider_id: str = "") -> None:
    """Write how far the mail has come; a final state wipes its code or link."""
    row.state, row.error = state, error[:300]
    if state == Notification.State.SENT:
        row.sent_at, row.provider_id = clock.now(), provider_id[:255]
    if state in FINAL or row.lost_answers >= MAX_LOST_ANSWERS:
        row.encrypted = ""
    row.save(update_fields=["state", "error", "sent_at", "provider_id", "encrypted"])
