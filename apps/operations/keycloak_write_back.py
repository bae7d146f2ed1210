"""Writes what is right here back to Keycloak, after staff have decided so about a difference: our email, our mark."""

from collections.abc import Mapping
from dataclasses import dataclass

from apps.access import reconcile
from apps.accounts.models import UserProfile
from apps.core import clock, jobs
from apps.identity import account_details
from apps.identity.account_lists import MARK
from apps.identity.keycloak import client
from apps.operations.models import Drift


@dataclass(frozen=True)
class WriteBack:
    """A kind of job, by the kind of difference that it ends, and what staff read when it is queued."""

    job: str
    label: str
    sentence: str


WRITES: Mapping[str, WriteBack] = {
    Drift.Kind.EMAIL: WriteBack(
        account_details.WRITE_EMAIL,
        "Write email to Keycloak",
        "Our email of {profile} will be restored in Keycloak now.",
    ),
    Drift.Kind.MARK: WriteBack(
        "write_mark_to_keycloak",
        "Write mark to Keycloak",
        "The account of {profile} will get its mark in Keycloak now.",
    ),
}


def register() -> None:
    """Make the job kind known; the other one is identity's, and tells us."""
    mark = WRITES[Drift.Kind.MARK]
    jobs.register(mark.job, write_mark, label=mark.label, needs=("keycloak",))
    account_details.on_email_written.append(lambda profile_id: resolve(profile_id, Drift.Kind.EMAIL))


def queue(kind: str, profile: UserProfile, actor: str) -> str:
    """Queue the job of this kind of difference; returns a sentence."""
    jobs.defer(WRITES[kind].job, profile.pk, reason=f"drift fixed by {actor}", lane=reconcile.lane(profile.pk))
    return WRITES[kind].sentence.format(profile=profile)


def write_mark(key: str) -> None:
    """The job: write our mark to the account of the profile `key`, because staff have seen that it is theirs."""
    if profile := _find(key):
        client().update_user(profile.keycloak_id or "", attributes={MARK: str(profile.onboarding_id)})
        resolve(profile.pk, Drift.Kind.MARK)


def _find(key: str) -> UserProfile | None:
    return UserProfile.objects.filter(pk=key, keycloak_id__isnull=False).first()


def resolve(profile_id: int, *kinds: str) -> None:
    """Note that these kinds of difference are over."""
    Drift.objects.filter(profile_id=profile_id, kind__in=kinds, resolved_at__isnull=True).update(
        resolved_at=clock.now()
    )
