"""How the last sync of one subscriber went, and whether one is under way: a part of the subscriber's page. Three queries."""

from dataclasses import dataclass

from apps.access import reconcile
from apps.access.models import LastSync
from apps.accounts.models import UserProfile
from apps.core.models import Job


@dataclass(frozen=True)
class Shown:
    """`last`: what the last sync, or the tries of the present one, did. `under_way` and `stopped`: the jobs, if any."""

    profile: UserProfile
    last: LastSync | None
    under_way: Job | None
    stopped: Job | None

    @property
    def moving(self) -> bool:
        """Whether it will change automatically: a sync is requested and has not given up."""
        return self.under_way is not None or (self.profile.pending_since is not None and self.stopped is None)


def of(profile: UserProfile) -> Shown:
    key = str(profile.pk)
    under_way = reconcile.in_progress().filter(key=key).order_by("-pk").first()
    stopped = None if under_way else reconcile.failed_or_blocked().filter(key=key).order_by("-pk").first()
    return Shown(profile, LastSync.objects.filter(profile=profile).first(), under_way, stopped)
