"""Export and erase one person (GDPR, articles 15, 17 and 20).

Promises: erasing is refused while the person pays, opens a payment, or is on hold or under a legal hold (which keep the facts of
a dispute); it is done once, and its receipt is a line of the audit trail that names ids only. The subscriber's row stays, without
a name, so that the ids of the trail, of seats and of invoices still mean something. What was invoiced stays at Stripe, as law wants.
"""

import datetime as dt
import uuid
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.auth.models import User
from django.db import models, transaction
from django.db.models import Q

from apps.access.models import AccessOverride
from apps.accounts import legal_holds
from apps.accounts.erasers import NOBODY
from apps.accounts.models import PrivacyRequest, Signup, UserProfile
from apps.accounts.people_locks import lock_shared
from apps.billing.forgetting import FORGET, list_copies
from apps.billing.models import InboundEvent, Subscription
from apps.core import attention, audit, clock, jobs
from apps.core.audit_actions import AuditAction
from apps.core.errors import BadInput
from apps.core.models import AttentionItem, AuditEntry, Job
from apps.identity import erasure
from apps.instances import allocation
from apps.instances.models import Seat
from apps.instances.provisioning import accounts as product_accounts
from apps.login import sessions
from apps.operations import approvals, erasure_rows
from apps.operations.copied_columns import PEOPLE, copy_row
from apps.operations.models import ApprovalRequest

# --- export ----------------------------------------------------------------------------------------------------------


def find_person(text: str) -> UserProfile | None:
    """The subscriber of an id or an address."""
    by = Q(pk=int(text)) if text.isdecimal() else Q(email__iexact=text)
    return UserProfile.objects.select_related("user").filter(by).first()


def export(profile: UserProfile) -> dict[str, list[dict[str, Any]]]:
    """Every row about the person, by table, as their copy may hold it."""
    customer = profile.stripe_customer_id
    found: list[models.QuerySet[Any]] = [
        User.objects.filter(pk=profile.user_id),
        UserProfile.objects.filter(pk=profile.pk),
        audit.entries_about(profile.subject),
        AttentionItem.objects.filter(profile_ids__contains=[profile.pk]),
        Job.objects.filter(lane=f"profile:{profile.pk}"),
        *_rows_that_point_to(profile),
    ]
    if customer:
        found += [Subscription.objects.filter(customer_id=customer), InboundEvent.objects.filter(customer_id=customer)]
        found += list_copies(customer)
    return {rows.model._meta.label: [copy_row(row, profile) for row in rows] for rows in found}


def _rows_that_point_to(profile: UserProfile) -> list[models.QuerySet[Any]]:
    """Of every other model with a key to the person, or with an address column.

    An address may have been another's before: it names the person only while the row belongs to nobody.
    """
    found = []
    others = [one for one in apps.get_models() if one not in PEOPLE and one._meta.app_label != "djstripe"]
    for model in others:
        columns = model._meta.concrete_fields
        keys = [one for one in columns if one.related_model in PEOPLE]
        addresses = [one.name for one in columns if isinstance(one, models.EmailField)]
        if not keys and not addresses:
            continue
        mine = Q(pk__in=[])
        for one in keys:
            mine |= Q(**{one.name: profile if one.related_model is UserProfile else profile.user})
        if owners := [one.name for one in keys if one.null]:
            nobodys = Q(**dict.fromkeys(owners))
        else:
            nobodys = Q(pk__in=[]) if keys else Q()
        for name in addresses:
            mine |= nobodys & Q(**{f"{name}__iexact": profile.email})
        found.append(model._default_manager.filter(mine))
    return found


# --- erase -----------------------------------------------------------------------------------------------------------


def find_receipt(profile: UserProfile) -> AuditEntry | None:
    """The line that says that the person was erased; None before that."""
    mine = audit.entries_about(profile.subject)
    return mine.filter(action=AuditAction.PERSON_ERASED).first()


def refuse_erasing(profile: UserProfile) -> str:
    """Why the person cannot be erased now; empty when they can."""
    if legal_holds.is_held(profile):
        return legal_holds.REFUSAL
    if profile.has_running_subscription:
        return "A subscription is running. Cancel it first, and refund what is due."
    if profile.signups.filter(state__in=Signup.LIVE).exists():
        return "A payment is open. Wait until it has ended."
    if profile.user.is_staff:
        return "This is somebody of staff. Remove their roles in Keycloak first."
    holds = AccessOverride.objects.filter(profile=profile, kind=AccessOverride.Kind.HOLD, lifted_at=None)
    return "The subscriber is on hold. End the hold first." if holds.exists() else ""


def list_kept(profile: UserProfile) -> dict[str, str]:
    """What stays after erasing them now, and why or until when."""
    jobs_until = clock.now() + dt.timedelta(days=settings.RETENTION["jobs"])
    remembered = f"for {settings.RETENTION['erased_accounts']} days, because a restored backup of a product brings the accounts back"
    return {
        "subscriber": "without name and address, so that ids keep their meaning",
        "audit trail": "holds ids, proves who did what, and keeps the reasons that staff typed",
        "invoices": "at Stripe, as long as tax law wants them",
        "finished jobs and closed attention items": f"until {jobs_until:%Y-%m-%d}",
        **({"ids of accounts in products": remembered} if product_accounts.list_places(profile) else {}),
        "deliveries of emails": "at Mailgun, as long as its plan keeps its log",
        "backups": "until they are overwritten; after a restore the person is erased again",
    }


@transaction.atomic
def erase(profile: UserProfile, *, actor: str, reason: str) -> AuditEntry:
    """Erase the person everywhere; returns the receipt, the same one when asked again.

    BadInput while it is refused, or one of staff wants it whom nobody has approved.
    """
    lock_shared(profile.pk)
    profile = legal_holds.lock(profile)
    if done := find_receipt(profile):
        return done
    if refusal := refuse_erasing(profile):
        raise BadInput(refusal)
    approvals.refuse_alone(ApprovalRequest.Action.ERASE_PERSON, 1, actor=actor)
    for seat in Seat.objects.filter(profile=profile).exclude(state=Seat.State.RELEASED).select_related("product"):
        allocation.release(profile=profile, product=seat.product)
    for cause in (attention.Cause.ACCOUNT_REFUSED, attention.Cause.UNREACHABLE, attention.Cause.UNWARNED_LOSS):
        attention.resolve(cause, str(profile.pk), why="The person was erased.")
    _close_requests(profile, actor=actor)
    products = product_accounts.list_places(profile)
    erased = erasure_rows.erase_rows(profile)
    if profile.keycloak_id:
        jobs.defer(erasure.KIND, profile.keycloak_id, reason=f"erased by {actor}")
    if profile.stripe_customer_id:
        jobs.defer(FORGET, profile.stripe_customer_id, reason=f"erased by {actor}")
    systems = {"keycloak": profile.keycloak_id, "stripe": profile.stripe_customer_id}
    _make_nameless(profile)
    audit.record(
        subject=profile.subject, action=AuditAction.PERSON_ERASED, actor=actor, reason=reason,
        after={"erased": erased, "systems": systems, "products": products, "kept": list_kept(profile)},
    )  # fmt: skip
    receipt = find_receipt(profile)
    assert receipt is not None  # noqa: S101  (written above)
    return receipt


def _close_requests(profile: UserProfile, *, actor: str) -> None:
    """Erasing answers who asked for it, and who asked for a copy of what is gone."""
    PrivacyRequest.objects.filter(profile=profile, state=PrivacyRequest.State.OPEN).update(
        state=PrivacyRequest.State.DONE, closed_by=actor, closed_at=clock.now(), outcome="Erased."
    )


def _find_pseudonym(profile: UserProfile) -> str:
    """A username that nobody has: somebody who came with an account, or by an import, may be called `erased-7`."""
    name = f"erased-{profile.pk}"
    is_taken = User.objects.filter(username=name).exclude(pk=profile.user_id).exists()
    return f"{name}-{uuid.uuid4().hex}" if is_taken else name


def _make_nameless(profile: UserProfile) -> None:
    nobody = _find_pseudonym(profile)
    sessions.end_sessions(profile.user)
    profile.user.groups.clear()
    User.objects.filter(pk=profile.user_id).update(
        username=nobody, first_name="", last_name="", email="", is_active=False
    )
    UserProfile.objects.filter(pk=profile.pk).update(
        email=f"{nobody}{NOBODY}",
        keycloak_id=None,
        proven_keycloak_id="",
        stripe_customer_id=None,
        onboarding_id=uuid.uuid4(),
        email_problem="",
        email_problem_at=None,
    )  # a new id: the one at Stripe would make the customer theirs again
