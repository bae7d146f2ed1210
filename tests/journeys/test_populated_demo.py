"""`manage.py demo --populate` as a newcomer types it: a year of people in all states, of which no law and no page complains."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from apps.core.states import AccessState
from apps.sandbox.populate import house
from apps.sandbox.populate.people import CAST, DRIFTED, everybody
from apps.sandbox.run import postgres
from apps.sandbox.run.demo import PASSWORD
from apps.sandbox.run.servers import free_port
from apps.sandbox.walk_browser import Browser

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(900), pytest.mark.xdist_group("demo")]
ROOT = Path(__file__).resolve().parents[2]
LAST_LINE = "Log in as a customer: "
STOP_SECONDS, SAME_PAGES = 60, 3
LINK = re.compile(r'href="(/admin/[^"#?]*)(\?[^"#]*)?["#]')
LEFT_OUT = re.compile(r"logout|password|/export|/jsi18n|/static/")


class Populated:
    """A demo that has been populated, and runs."""

    def __init__(self, data: Path, cache: Path, ports: tuple[int, int]) -> None:
        self.data, self.cache, (self.port, self.sandbox_port) = data, cache, ports
        self.said: list[str] = []
        self.process: subprocess.Popen[str] | None = None

    @property
    def look_at(self) -> str:
        return "".join(self.said).partition("Whom to look at")[2]

    def stop(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        self.process.wait(STOP_SECONDS)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def start(self) -> None:
        ports = ["--port", str(self.port), "--sandbox-port", str(self.sandbox_port)]
        command = [sys.executable, "manage.py", "demo", "--populate", "--data", str(self.data), *ports]
        self.process = process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL,
            start_new_session=True, env=os.environ | {"XDG_CACHE_HOME": str(self.cache)},
        )  # fmt: skip
        assert process.stdout is not None
        self.said = []
        for line in process.stdout:
            self.said.append(line)
            if LAST_LINE in line:
                return
        raise AssertionError("".join(self.said[-40:]))

    def query(self, sql: str) -> list[tuple[object, ...]]:
        host = postgres.start(self.data / "postgres")
        with psycopg.connect(host=host, dbname=postgres.NAME, user=postgres.NAME) as connection:
            return connection.execute(sql.encode()).fetchall()

    def counts(self, table: str, column: str) -> Counter[object]:
        return Counter({value: int(str(count)) for value, count in self.query(f"SELECT {column}, count(*) FROM {table} GROUP BY 1")})  # fmt: skip


@contextlib.contextmanager
def started(cache: Path, ports: tuple[int, int]) -> Iterator[Populated]:
    data = Path(tempfile.mkdtemp(prefix="frontdesk-populated-"))
    data.chmod(0o755)
    made = Populated(data, cache, ports)
    try:
        made.start()
        yield made
    finally:
        made.stop()
        postgres.stop(data / "postgres", remove=True)
        shutil.rmtree(data)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Populated]:
    with started(tmp_path_factory.mktemp("cache"), (free_port(), free_port())) as made:
        yield made


def test_somebody_is_in_every_state(demo: Populated) -> None:
    states = demo.counts("accounts_userprofile", "access_state")
    assert set(states) == {one.value for one in AccessState}
    assert sum(states.values()) >= len([one for one in everybody() if one.basket != "photos"]) - 2
    assert {"active", "trialing", "past_due", "canceled"} <= set(demo.counts("billing_subscription", "status"))
    kinds = set(demo.counts("access_accessoverride", "kind"))
    assert kinds == {"hold", "grant", "no_suspend", "keep_seat"}
    assert "bounced" in set(demo.counts("accounts_userprofile", "email_problem"))
    assert {"paid", "expired", "checkout"} <= set(demo.counts("accounts_signup", "state"))
    assert {"assigned", "retained", "released", "reserved"} <= set(demo.counts("instances_seat", "state"))
    assert demo.query("SELECT count(*) FROM instances_seatwait") == [(1,)]
    assert demo.query("SELECT count(*) FROM onboarding_waitlistentry WHERE confirmed_at IS NOT NULL") == [(3,)]
    causes = set(demo.counts("core_attentionitem WHERE resolved_at IS NULL", "cause"))
    assert {"dispute", "second_subscription", "collection_paused", "unreachable"} <= causes


def test_three_people_differ_from_keycloak_and_one_waits_for_a_seat_and_no_law_is_broken(demo: Populated) -> None:
    drifted = demo.query(
        "SELECT u.first_name || ' ' || u.last_name FROM operations_drift d JOIN accounts_userprofile p ON p.id = d.profile_id"
        " JOIN auth_user u ON u.id = p.user_id WHERE d.resolved_at IS NULL ORDER BY 1"
    )
    assert drifted == [(name,) for name in sorted(DRIFTED)]
    broken = demo.query(
        "SELECT law, violations FROM core_lawcheck WHERE state = 'violated' AND id IN (SELECT max(id) FROM core_lawcheck GROUP BY law)"
    )
    assert broken == []
    assert demo.counts("core_job", "state")["blocked"] == 1
    assert demo.counts("core_job", "state")["dead"] == 0


def test_some_pay_less_by_a_coupon_and_a_family_shares_one_plan(demo: Populated) -> None:
    used = demo.query(
        "SELECT c.stripe_id, count(*) FILTER (WHERE d.ended_at IS NULL) > 0 FROM billing_discount d JOIN billing_coupon c ON c.id = d.coupon_id"
        " GROUP BY 1 ORDER BY 1"
    )
    assert used == [("friends", True), ("sorry", False), ("welcome", True)]
    given = demo.query("SELECT DISTINCT about FROM operations_reportfigure WHERE name = 'discount' AND amount > 0")
    assert len(given) == 3
    assert demo.counts("accounts_membership", '"end"') == {"": 3, "left": 1}
    members = demo.counts(
        "accounts_userprofile p JOIN accounts_membership m ON m.id = p.membership_id", "m.end || p.access_state"
    )
    assert members == {"active": 2, "leftcanceled": 1}


def test_a_year_lies_behind_them(demo: Populated) -> None:
    ((first, last),) = demo.query("SELECT min(at)::date, max(at)::date FROM core_auditentry")
    assert (last - first).days >= 330  # type: ignore[operator]
    ((months,),) = demo.query("SELECT count(DISTINCT date_trunc('month', sent_at)) FROM notifications_notification")
    assert int(str(months)) >= 2  # older ones are deleted after their time
    ((days, zeros),) = demo.query("SELECT count(DISTINCT day), count(*) FILTER (WHERE value = 0) FROM operations_dailyfigure WHERE name = 'revenue'")  # fmt: skip
    assert (days, zeros) == (90, 0)
    ((invoices,),) = demo.query("SELECT count(*) FROM djstripe_invoice")
    assert int(str(invoices)) > 200


def test_no_page_of_the_console_fails_and_today_shows_their_money(demo: Populated) -> None:
    staff = Browser(f"http://localhost:{demo.port}")
    today = staff.log_in("/admin/", "admin.ada", PASSWORD)
    assert re.search(r"€[1-9]", today), today[:500]
    seen, patterns, left = {"/admin/"}, Counter[str](), ["/admin/"]
    while left:
        page = left.pop()
        for path, query in LINK.findall(staff.get(page).text):
            pattern, address = (
                re.sub(r"\d+|[0-9a-f-]{36}|_[A-Za-z0-9]{8,}", "N", path),
                path + query.replace("&amp;", "&"),
            )
            if address not in seen and patterns[pattern] < SAME_PAGES and not LEFT_OUT.search(path):
                patterns[pattern] += 1
                seen.add(address)
                left.append(address)
    assert len(patterns) > 40, sorted(patterns)


def test_the_customer_it_names_is_logged_in_twice_and_can_log_in(demo: Populated) -> None:
    assert any("Tom Berger is logged in on two devices" in line for line in demo.said)
    page = Browser(f"http://localhost:{demo.port}").log_in("/dashboard/", "tom.berger", house.PASSWORD)
    assert "Nextcloud" in page


def test_whom_to_look_at_leads_to_their_pages(demo: Populated) -> None:
    said = "".join(demo.said)
    staff = Browser(f"http://localhost:{demo.port}")
    staff.log_in("/admin/", "admin.ada", PASSWORD)
    for person in [one for one in CAST if one.look]:
        found = re.search(re.escape(person.look.partition("{}")[0]) + r"http://[^/]+(/\S+)", said)
        assert found, person.name
        assert person.name.lower().replace(" ", ".") in staff.text(found.group(1))


def test_a_second_run_doubles_nobody_and_says_the_same(demo: Populated) -> None:
    before, said = demo.counts("accounts_userprofile", "access_state"), demo.look_at
    demo.stop()
    demo.start()
    assert demo.look_at == said
    assert demo.counts("accounts_userprofile", "access_state") == before
    assert (
        demo.query("SELECT count(*) FROM auth_user GROUP BY lower(email) HAVING count(*) > 1 AND lower(email) <> ''")
        == []
    )


def test_the_next_demo_starts_with_the_year_that_this_one_has_lived(demo: Populated) -> None:
    states, said = demo.counts("accounts_userprofile", "access_state"), demo.look_at
    entries = demo.query("SELECT id, hash FROM core_auditentry ORDER BY id LIMIT 500")
    demo.stop()
    with started(demo.cache, (demo.port, demo.sandbox_port)) as other:
        assert other.look_at == said
        assert not [line for line in other.said if "lived in" in line]
        assert other.counts("accounts_userprofile", "access_state") == states
        assert other.query("SELECT id, hash FROM core_auditentry ORDER BY id LIMIT 500") == entries
        assert other.query("SELECT sentence FROM core_attentionitem WHERE cause = 'restored'") == []
        assert "Nextcloud" in Browser(f"http://localhost:{demo.port}").log_in(
            "/dashboard/", "tom.berger", house.PASSWORD
        )
        assert other.query("SELECT count(*) FROM usersessions_usersession") == [(3,)]
    demo.start()  # for the tests that come after this one
