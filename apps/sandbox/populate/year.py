"""The year of a populated demo: what happens in its order, and the end, at which somebody looks around."""

import datetime as dt
import time
from collections.abc import Callable

from apps.sandbox.populate import house
from apps.sandbox.populate.acts import Act, Resident, moment
from apps.sandbox.populate.people import BOUNCES, DRIFTED, IN_OUTAGE, SPAM, TWO_DEVICES, everybody
from apps.sandbox.run.history import write_strangers
from apps.sandbox.run.populated import SITE
from apps.sandbox.simulate.world import SimulatedWorld

# The clock never jumps farther, so that what happens at Stripe is told in time; of what was months ago nobody reads the hour.
STEP, FAR_STEP, FAR = 12 * 3600, 48 * 3600, dt.timedelta(days=70)
OUTAGE = dt.timedelta(hours=1)  # Keycloak is away for so long before and after somebody signs up
LAST_LOOK = dt.timedelta(minutes=6)  # what looks at the whole house does so before the end, and at the end
TELL_SECONDS, WORK_SECONDS, PAUSE_SECONDS = 5, 30, 0.02


class Year:
    """One year of the people, ending at `now`."""

    def __init__(self, world: SimulatedWorld, now: dt.datetime) -> None:
        self.world, self.now, self.told = world, now, 0.0
        self.cast = everybody()
        self.plans = [one.plan(number, now) for number, one in enumerate(self.cast)]
        self.residents = {who.name: who for (_, who, _), *_ in self.plans}

    def live(self) -> None:
        """All of it, in order, then the end."""
        spam, bounces = self.residents[SPAM].email, self.residents[BOUNCES].email
        house.open_house(self.world, bounces=bounces, spam=spam)
        house.rest_until(self.world, self.now - LAST_LOOK)
        plans = [(at, self._act(who, act)) for plan in self.plans for at, who, act in plan]
        for at, happen in sorted([*plans, *self._outage()], key=lambda one: one[0]):
            self._advance_to(at)
            happen()
            self._work()
        self._finish()

    def _finish(self) -> None:
        """The house is looked at as each night, and again after what somebody has changed by hand."""
        write_strangers(self.world.stripe)
        for at in (self.now - LAST_LOOK, dt.datetime.now(dt.UTC)):
            self._advance_to(at)
            self.world.stack.finish_work(retries=True)
        house.change_by_hand(self.world, [self.residents[name] for name in DRIFTED])
        house.look_around(self.world)
        house.fill_in_figures(self.now)

    def whom_to_look_at(self) -> str:
        """For the person at the terminal."""
        page = f"{SITE}/admin/accounts/userprofile"
        lines = [
            one.look.format(f"{page}/{self.residents[one.name].life.profile}/change/") for one in self.cast if one.look
        ]
        drifted = f"{', '.join(DRIFTED[:-1])} and {DRIFTED[-1]} were changed by hand in Keycloak"
        lines.append(f"{drifted}: {SITE}/admin/operations/drift/")
        device = f"{self.residents[TWO_DEVICES].username}, password: {house.PASSWORD}"
        return "\n".join(
            ["Whom to look at:", "", *(f"  {one}" for one in lines), "", f"  Log in as a customer: {device}"]
        )

    def _act(self, who: Resident, act: Act) -> Callable[[], object]:
        def happen() -> None:
            try:
                act(self.world, who)
            except Exception as error:
                error.add_note(f"of {who.name}, at {moment(self.world.now())}")
                raise

        return happen

    def _outage(self) -> list[tuple[dt.datetime, Callable[[], object]]]:
        signs_up = next(at for (at, who, _), *_ in self.plans if who.name == IN_OUTAGE)
        begin, end = signs_up - OUTAGE, signs_up + OUTAGE
        return [(begin, lambda: house.break_keycloak(self.world)), (end, lambda: house.mend_keycloak(self.world))]

    def _advance_to(self, at: dt.datetime) -> None:
        while (left := int(at.timestamp()) - self.world.now()) > 0:
            far = moment(self.world.now()) < self.now - FAR
            self.world.stack.advance(min(left, FAR_STEP if far else STEP))
            self._work()
        self._tell()

    def _work(self) -> None:
        """Until Stripe has told all and no job is due; this process does its share. `finish_work` later finds what was left."""
        from apps.core import clock, jobs
        from apps.core.models import Job

        began = time.monotonic()
        while time.monotonic() - began < WORK_SECONDS:
            if self.world.stack.control("webhooks/flush")["delivered"] + jobs.drain():
                continue
            running = Job.objects.filter(state=Job.State.RUNNING)
            if not (running | Job.objects.filter(state=Job.State.QUEUED, not_before__lte=clock.now())).exists():
                return
            while running.exists() and time.monotonic() - began < WORK_SECONDS:
                time.sleep(PAUSE_SECONDS)

    def _tell(self) -> None:
        if time.monotonic() - self.told > TELL_SECONDS:
            self.told = time.monotonic()
            print(f"  {moment(self.world.now()):%d %B %Y}", flush=True)
