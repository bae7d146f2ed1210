"""What erasing a person does to which rows, as one list: the preview counts it, and erasing carries it out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount
from django.db.models import Q, QuerySet

from apps.access.models import AccessOverride, HeldBackLoss, LastSync, TermsChange
from apps.accounts.erasers import ERASERS
from apps.accounts.models import ErasureAttempt, LegalHold, PrivacyRequest, Signup, UserProfile
from apps.notifications.mail import of_person
from apps.notifications.models import Notification
from apps.operations.models import DataCopy, Drift, ImportRow, SeatMove, SyncResult, TermsPreview

NO_REASON = "Erased with the person."  # staff may have named them


@dataclass(frozen=True)
class ErasedRows:
    """Some rows, and what becomes of them: they are deleted, or these columns of theirs are emptied."""

    rows: QuerySet[Any]
    emptied: Mapping[str, Any] = field(default_factory=dict)

    def erase(self) -> int:
        """Do it; how many rows it was."""
        return int(self.rows.update(**self.emptied) if self.emptied else self.rows.delete()[0])


def list_rows(profile: UserProfile) -> dict[str, list[ErasedRows]]:
    """By the words of the receipt: the rows about the person, beside those that apps delete themselves (ERASERS)."""
    mine: dict[str, Any] = {"profile": profile}
    strangers = Signup.objects.filter(email__iexact=profile.email, profile=None)
    nameless = {
        "first_name": "",
        "last_name": "",
        "username": "",
        "email": "",
        "keycloak_id": "",
    }  # terms and dates stay as proof
    no_reason = {"reason": NO_REASON}
    return {
        "emails": [ErasedRows(Notification.objects.filter(of_person(profile)))],
        "signups": [ErasedRows(strangers), ErasedRows(Signup.objects.filter(**mine), nameless)],
        "drift": [ErasedRows(Drift.objects.filter(**mine))],
        "losses held back": [ErasedRows(HeldBackLoss.objects.filter(**mine))],
        "sync results": [ErasedRows(model.objects.filter(**mine), {"steps": []}) for model in (SyncResult, LastSync)],
        "answers about moves of seats": [
            ErasedRows(SeatMove.objects.filter(**mine).exclude(answer_reason=""), {"answer_reason": NO_REASON})
        ],
        "rows of imports": [ErasedRows(ImportRow.objects.filter(Q(**mine) | _naming(profile)))],
        "copies of the data": [ErasedRows(DataCopy.objects.filter(**mine))],
        "attempts to erase": [ErasedRows(ErasureAttempt.objects.filter(**mine))],
        "reasons of overrides, terms and privacy requests": [
            *(
                ErasedRows(model.objects.filter(**mine), no_reason)
                for model in (AccessOverride, TermsChange, TermsPreview)
            ),
            ErasedRows(PrivacyRequest.objects.filter(**mine), {"note": NO_REASON}),
        ],
        "reasons of legal holds": [ErasedRows(LegalHold.objects.filter(**mine), no_reason | {"end_reason": NO_REASON})],
        "login accounts": [
            ErasedRows(SocialAccount.objects.filter(user=profile.user_id)),
            ErasedRows(EmailAddress.objects.filter(user=profile.user_id)),
        ],
    }


def _naming(profile: UserProfile) -> Q:
    """Rows of imports that name the person and made nobody."""
    named = Q(email__iexact=profile.email)
    for name, value in {"keycloak_id": profile.keycloak_id, "customer_id": profile.stripe_customer_id}.items():
        named |= Q(**{name: value}) if value else Q()
    return Q(profile=None) & named


def count_rows(profile: UserProfile) -> dict[str, int]:
    """How many rows of each are there now."""
    return dict(_counted(profile))


def _counted(profile: UserProfile) -> Iterator[tuple[str, int]]:
    for name, one in ERASERS.items():
        yield name, one.find(profile).count()
    for name, parts in list_rows(profile).items():
        yield name, sum(part.rows.count() for part in parts)


def erase_rows(profile: UserProfile) -> dict[str, int]:
    """Delete or empty all of them; how many of each."""
    others = {name: one.delete(profile) for name, one in ERASERS.items()}
    return others | {name: sum(part.erase() for part in parts) for name, parts in list_rows(profile).items()}
