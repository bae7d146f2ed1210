"""`python -m tests.upgrade [COMMIT]`: an update of a house with people, by what the manual says, then back, and forth again.

COMMIT is the release that the house has before; without it that of the day before. Exit code 0: nobody lost or got anything by
it, the laws hold and the doctor is as before after each step, and after each somebody can sign up. 1: what is not so is said.
"""

import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Collection
from pathlib import Path

from apps.sandbox.run import postgres, postgres_programs
from apps.sandbox.run.demo import DemoError
from apps.sandbox.run.servers import free_port
from tests.faults.outage import Load, wait_for
from tests.faults.test_database_outage import lost as lost_events
from tests.faults.test_database_outage import objects
from tests.upgrade import people, releases
from tests.upgrade.house import House, populate, say
from tests.upgrade.releases import Release

SOME_EVENTS = 10


class Update:
    """From `old` to `new` in one house; what is broken or bad before need not get better."""

    def __init__(self, house: House, old: Release, new: Release) -> None:
        self.house, self.old, self.new, self.began = house, old, new, time.monotonic()
        self.doctor: dict[str, tuple[str, str]] = {}
        self.laws: set[str] = set()
        self.addresses: set[str] = set()

    def say(self, text: str) -> None:
        """A line with the time."""
        say(f"[{time.monotonic() - self.began:5.1f} s] {text}")

    def open(self) -> None:
        """The house as it is before, with its people in it."""
        self.say(f"a year of people begins in {self.old.name}")
        populate(self.old, self.house)
        self.say("it is over")
        self.house.claim()
        postgres_programs.copy(self.house.data / "postgres")  # ours may lie where only root can read
        self.house.root = self.new.root  # the peers change without us
        self.house.start_peers()
        self.house.serve(self.old)
        self.house.wait_until_idle()
        self.laws = people.violated(self.house, self.old)
        if self.laws:
            say(f"          broken before: {self.laws}")
        self.doctor = people.complaints(self.house, self.old)
        self.addresses = people.addresses(self.house)
        self.say("the house is open")

    def migrate(self) -> None:
        """New tables below the release that serves, and Stripe goes on telling it things: nothing is refused or lost."""
        ((customer,),) = self.house.ask(
            "SELECT stripe_customer_id FROM accounts_userprofile WHERE access_state = 'active' ORDER BY id LIMIT 1"
        )
        with Load(self.house, objects(self.house, customer), clients=1, pause=0.2) as load:
            began = time.monotonic()
            said = self.new.manage("migrate", env=self.house.env)
            seconds, enough = time.monotonic() - began, len(load.answers) + SOME_EVENTS
            wait_for(lambda: len(load.answers) >= enough, what="events on the new tables")
        nothing("events refused", [name for name, one in load.answers.items() if one is None or one.status_code != 200])
        nothing("events lost", lost_events(self.house, load))
        self.say(f"{said.count('Applying')} migrations in {seconds:.0f} s, {len(load.answers)} events taken meanwhile")

    def exchange(self, release: Release) -> None:
        """Stop the one, start the other."""
        began = time.monotonic()
        self.house.close()
        self.house.serve(release)
        self.say(f"{release.name} serves, after {time.monotonic() - began:.0f} s without")

    def step(self, release: Release, change: Callable[[], object] | None = None) -> None:
        """One change, before and after which everybody has the same; then one more customer."""
        before, emails = people.see(self.house), people.emails(self.house, self.addresses)
        if change:
            change()
        self.exchange(release)
        self.house.wait_until_idle()
        nothing("lost", people.lost(before, people.see(self.house)))
        nothing("emails sent by it", people.emails(self.house, self.addresses) - emails)
        people.sign_up(self.house, release)
        self.house.wait_until_idle()
        nothing("broken laws", people.violated(self.house, release) - self.laws)
        self.compare_doctor(release)
        nothing("dead jobs", self.house.ask("SELECT kind, key, last_error FROM core_job WHERE state = 'dead'"))
        self.say(f"all {len(before['profile'])} people have what they had, and one more has signed up")

    def compare_doctor(self, release: Release) -> None:
        """What it said before it says again; what only the newer one looks at is for whoever updates to read."""
        now = people.complaints(self.house, release)
        worse = {
            name: row for name, row in now.items() if row[0] != "passed" and row[0] != self.doctor.get(name, row)[0]
        }
        nothing("worse for the doctor", worse)
        for name, (severity, message) in now.items():
            if name not in self.doctor and severity != "passed":
                say(f"          the doctor also looks at {name}: {message}")


def nothing(what: str, found: Collection[object]) -> None:
    """AssertionError that says what there is, unless there is nothing."""
    assert not found, f"{what}: {found}"


def run(commit: str, folder: Path) -> None:
    """AssertionError says what went wrong."""
    (folder / "data").mkdir()
    house = House(data=folder / "data", port=free_port(), sandbox_port=free_port())
    update = Update(house, releases.install(commit, folder), releases.this())
    try:
        update.open()
        update.step(update.new, update.migrate)
        update.step(update.old)
        update.step(update.new, lambda: update.new.manage("migrate", env=house.env))
    finally:
        house.stop()
        postgres.stop(house.data / "postgres", remove=True)


def main() -> int:
    """In a folder of its own, of which nothing is left."""
    commit = sys.argv[1] if sys.argv[1:] else releases.of_the_day_before()
    folder = Path(tempfile.mkdtemp(prefix="frontdesk-upgrade-", dir="/var/tmp"))
    folder.chmod(0o755)
    try:
        run(commit, folder)
    except (AssertionError, DemoError) as error:
        say(f"\nThe update went wrong: {error}")
        return 1
    finally:
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
