"""Who will lose access or their seat by themselves and gets no email of ours: staff are told before it happens.

When the address is marked (notifications/delivery.py), when a decision brings a loss near, and each day for those whose loss
has come near. The item ends when emails arrive again, or nothing is lost soon.
"""

import datetime as dt

from apps.access.upcoming import Upcoming, read_all
from apps.accounts.models import UserProfile
from apps.core import attention, clock, jobs
from apps.core.attention import Cause
from apps.core.dates import day
from apps.core.models import Job

KIND = "check_unwarned"
DAILY_SECONDS = 86_400
AHEAD = dt.timedelta(days=7)
ADVICE = "Our warnings about it do not arrive. Reach the subscriber another way, or keep access or seat with an override until they know."


def register() -> None:
    """Make the job kind known."""
    label = "Check who loses access unwarned"
    jobs.register(KIND, check_unwarned, label=label, every=DAILY_SECONDS, importance=Job.Importance.SWEEP)


def next_loss(profile: UserProfile) -> Upcoming | None:
    """The first loss of the stored forecast, when it is near."""
    now = clock.now()
    return next((one for one in read_all(profile.forecast) if one.is_loss and now < one.at <= now + AHEAD), None)


def report(profile: UserProfile) -> bool:
    """Tell staff when this subscriber, whom no email reaches, loses something soon; else end what they were told."""
    loss = next_loss(profile) if profile.email_problem else None
    if loss is None:
        attention.resolve(Cause.UNWARNED_LOSS, str(profile.pk), why="Nothing is lost soon.")
        return False
    sentence = f"On {day(loss.at)}: {loss.label}. {ADVICE}"
    attention.report(Cause.UNWARNED_LOSS, str(profile.pk), sentence, profiles=[profile.pk])
    return True


def check_unwarned(_key: str) -> None:
    """The job: `report` for everybody whose address is marked, who are few, and end the items of all others."""
    marked = UserProfile.objects.exclude(email_problem="").only("pk", "email_problem", "forecast")
    losing = [str(profile.pk) for profile in marked.iterator(chunk_size=1_000) if report(profile)]
    attention.resolve_all_but(Cause.UNWARNED_LOSS, losing, why="Emails arrive again, or nothing is lost soon.")
