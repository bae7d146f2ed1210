"""No list, filter, sort, search or deep page reads more of the database because the tables are larger."""

import sys
from collections.abc import Callable, Container, Iterator
from dataclasses import replace
from importlib import import_module
from typing import Any

import pytest
from allauth.usersessions.models import UserSession
from django.contrib.auth.models import User
from django.core.management.base import CommandError
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.accounts.models import Signup, UserProfile
from apps.console import base, capacity_board, dashboard, menu_counts, problems
from apps.console.saved_views import COUNT_LIMIT
from apps.core import clock
from apps.notifications.models import Notification
from apps.operations.models import SeatPlan
from tests.console.conftest import World, fill
from tests.console.many_rows import Reading, read_page, seed
from tests.console.many_rows import _no_dead_rows as _no_dead_rows

pytestmark = pytest.mark.django_db

Staff = Callable[..., Client]
COUNTED, FEWER, FEW, MANY = (
    1_000,
    100,
    6_000,
    30_000,
)  # each tab holds more than are counted; of what waits there is less
ROOM, FEW_BLOCKS = (
    1_000,
    600,
)  # rows or pages of the database by which a plan may differ; MANY has 1,200 more of what is rarest
PAGES = {
    "accounts_userprofile": (
        "", "p=20", "o=1", "o=-1", "o=3", "o=-3", "o=6", "o=-6", "o=7", "o=-7", "access_state__exact=canceled", "access_state__exact=expired",
        "access_state__exact=suspended", "view=disputed", "view=dispute_lost", "view=returned", "subscription_status__exact=canceled", "q=user333", "q=Last3337", "q=ast3337",
        "q=ser3337@example", "q=3333@example35", "q=user3333@example35.org", "q=First5 Last5049", "q=nobody-at-all", "q=cus_M77", "q=sub_M77",
        "view=ending", "view=no_seat", "view=stuck", "view=override", "view=drift", "view=bounced", "view=paying", "view=new", "view=renewing",
        "view=lost", "view=waiting", "view=syncing", "view=trials_ending", "product={product}", "instance={instance}", "interval=year", "interval=month",
        "next=7", "joined=7", "left={today}..{today}",
    ),
    "instances_seat": (
        "", "p=20", "o=0", "o=4", "o=-4", "state__exact=assigned", "state__exact=released", "q=Last3337", "instance__id__exact={instance}",
        "product__id__exact={product}",
    ),
    "billing_inboundevent": (
        "", "p=20", "o=1", "o=-1", "source__exact=backfill", "source__exact=webhook", "q=in_M3337", "q=cus_M3337", "q=evt_M3337", "state__exact=ignored",
        "q=invoice.", "view=failed", "event=invoice.paid", "day={today}",
    ),
    "core_auditentry": ("", "p=20", "view=staff", "day={today}", "q=staff:rare", "q=staff:nobody", "q=Last3337", "q=profile:1003337"),
    "notifications_notification": ("", "p=20", "q=user3337@example", "q=ser3337", "q=Last3337", "state__exact=failed"),
    "accounts_signup": (
        "", "p=20", "interval__exact=year", "q=user3333@example35.org", "q=er3337@", "q=ast3337", "state__exact=paid",
        "state__exact=failed", "o=5", "o=-5",
    ),
    "core_job": ("", "is=work", "is=work&p=20", "is=all", "is=all&o=1", "is=all&o=-1", "is=work&o=3", "is=all&o=-3", "q=1003337", "state__exact=dead"),
    "auth_user": ("", "q=ada", "q=nobody"),
}  # fmt: skip


def addresses(made: World) -> Iterator[str]:
    for page, queries in PAGES.items():
        for query in queries:
            filled = query.format(product=made.cloud.pk, instance=made.instances[0].pk, today=f"{clock.now():%Y-%m-%d}")
            yield f"{reverse(f'admin:{page}_changelist')}?{filled}"
    timeline = reverse("admin:accounts_userprofile_timeline", args=[1_003_337])
    yield from (
        timeline,
        f"{timeline}?kind=staff",
        f"{timeline}?id=evt_M3337",
        f"{timeline}?from=2026-01-01&to=2099-01-01",
    )


def whole_pages(made: World) -> dict[str, int]:
    """The pages that are more than a list, or whose list counts and sums, and the most queries of each."""
    today = f"{clock.now():%Y-%m-%d}"
    open_plan = SeatPlan.objects.get(state="open").pk
    pages = {
        ("index", ""): 9, ("inbox", ""): 6, ("capacity_board", ""): 7, ("capacity_board", f"product={made.cloud.pk}&seats=200"): 8,
        ("report_revenue", "period=12_months"): 6, ("report_recovered", "period=12_months"): 5, ("report_coupons", "period=12_months"): 7,
        ("report_churn", f"period=own&first={today}&last={today}"): 5,
        ("operations_seatplan_changelist", ""): 4, ("operations_seatmove_changelist", ""): 4, ("instances_seatwait_changelist", ""): 4,
        ("instances_instance_changelist", ""): 4, ("instances_seat_changelist", "view=coming_free"): 4, ("core_outage_changelist", ""): 4,
        ("core_lawcheck_changelist", ""): 6, ("core_lawcheck_changelist", "view=violated"): 6, ("onboarding_waitlistentry_changelist", "view=in_line"): 6,
        ("accounts_privacyrequest_changelist", ""): 4, ("accounts_privacyrequest_changelist", "view=due"): 4, ("accounts_legalhold_changelist", ""): 4,
        ("operations_drift_changelist", ""): 4, ("core_job_changelist", "view=stuck"): 5, ("notifications_notification_changelist", "view=undelivered"): 5,
    }  # fmt: skip
    found = {f"{reverse(f'admin:{name}')}?{query}": most for (name, query), most in pages.items()}
    for number, most in ((open_plan, 8), (1_000_100, 8)):
        found[reverse("admin:operations_seatplan_change", args=[number])] = most
    return found


def count_up_to(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that is counted stops earlier, also in SQL that is written when a module is imported."""
    for module in [one for name, one in sys.modules.items() if name.startswith("apps.console")]:
        if getattr(module, "COUNT_LIMIT", None) is not None:
            monkeypatch.setattr(module, "COUNT_LIMIT", limit)
    for module, name in ((menu_counts, "COUNTS"), (problems, "FOUND"), (problems, "PROBLEMS"), (problems, "PEOPLE")):
        sql = getattr(module, name)
        assert str(COUNT_LIMIT) in sql
        monkeypatch.setattr(module, name, sql.replace(str(COUNT_LIMIT), str(limit)))


def read_list(client: Client, address: str) -> Reading:
    dashboard.NUMBERS.get()  # the menu's counts are kept
    return read_page(client, address)


def read_whole(client: Client, address: str) -> Reading:
    """Also what is kept for some seconds; but not the totals of everybody, which are for a minute."""
    for kept in (menu_counts.COUNTED, dashboard.NUMBERS, capacity_board.COMING_FREE):
        kept.forget()
    return replace(read_page(client, address), is_whole=True)


def read_all(
    client: Client, made: World, monkeypatch: pytest.MonkeyPatch, only: Container[str] | None = None
) -> dict[str, Reading]:
    """Of every address, or `only` of some, what its request reads."""
    with monkeypatch.context() as patch:
        patch.setattr(base, "COUNT_LIMIT", COUNTED)
        patch.setattr(menu_counts.COUNTED, "seconds", 600.0)  # not read again meanwhile, on a machine that is busy
        found = {one: read_list(client, one) for one in addresses(made) if only is None or one in only}
    with monkeypatch.context() as patch:
        count_up_to(FEWER, patch)
        return found | {one: read_whole(client, one) for one in whole_pages(made) if only is None or one in only}


@pytest.mark.long
def test_five_times_the_rows_are_read_with_the_same_pages(staff: Staff, monkeypatch: pytest.MonkeyPatch) -> None:
    client, made = staff("admin"), fill(3)
    seed(0, FEW, made)
    client.get(reverse("admin:index"))
    few = read_all(client, made, monkeypatch)
    seed(FEW + 1, MANY, made)
    grown = find_grown(few, many := read_all(client, made, monkeypatch))
    if grown:  # the sample of ANALYZE is random, and a plan may hang on it: what grows, does so by another one too
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
        again = find_grown(few, read_all(client, made, monkeypatch, only=grown))
        grown = {one: both for one, both in again.items() if one in grown}
    assert not grown, "\n".join(f"{one}: {before}, then {after}" for one, (before, after) in grown.items())
    assert not {one: many[one].queries for one, most in whole_pages(made).items() if many[one].queries > most}


def find_grown(few: dict[str, Reading], many: dict[str, Reading]) -> dict[str, tuple[Reading, Reading]]:
    """What reads more than an index with one more level does: of a list the pages of the database, of the others also the rows."""
    return {
        one: (few[one], found)
        for one, found in many.items()
        if found.blocks > 1.2 * few[one].blocks + (ROOM if found.is_whole else FEW_BLOCKS)
        or (found.is_whole and found.rows > 1.2 * few[one].rows + ROOM)
    }


@pytest.mark.parametrize(
    ("page", "term", "found"),
    [
        ("accounts_userprofile", "Wanda", 2), ("accounts_userprofile", "ANDA", 2), ("accounts_userprofile", "kowal", 1),
        ("accounts_userprofile", "Wanda Kowalska", 1), ("accounts_userprofile", "kowalska wanda", 1), ("accounts_userprofile", "posteo.de", 1),
        ("accounts_userprofile", "a@poste", 1), ("accounts_userprofile", "wanda@posteo.de", 1), ("accounts_userprofile", "po", 0),
        ("accounts_userprofile", "wk", 1), ("accounts_userprofile", "o%l", 0), ("accounts_userprofile", "_anda", 0), ("accounts_userprofile", "Zoë Ö", 1),
        ("notifications_notification", "posteo", 1), ("notifications_notification", "Kowalska", 1), ("notifications_notification", "x@gone", 1),
        ("accounts_signup", "posteo", 1), ("accounts_signup", "owalsk", 1), ("accounts_signup", "wanda@posteo.de", 1), ("accounts_signup", "a@posteo", 1),
        ("auth_user", "min-ad", 1),
    ],
)  # fmt: skip
def test_any_part_of_a_name_or_address_finds(page: str, term: str, found: int, staff: Staff) -> None:
    client = staff("admin")
    wanda = _person("wk-1", "Wanda", "Kowalska", "wanda@posteo.de")
    _person("other", "Wanda", "Smith", "other@example.org")
    _person("zoe", "Zoë", "Öz", "zoe@example.org")
    now = clock.now()
    for count, to in enumerate(("wanda@posteo.de", "xx@gone.example")):
        person = None if count else wanda
        Notification.objects.create(key=f"mail:{count}", template="welcome", profile=person, to=to, created_at=now)
    Signup.objects.create(
        username="wk-1", first_name="Wanda", last_name="Kowalska", email="wanda@posteo.de", created_at=now
    )
    answer = client.get(reverse(f"admin:{page}_changelist"), {"q": term})
    assert answer.context["cl"].result_count == found


def _person(username: str, first: str, last: str, email: str) -> UserProfile:
    user = User.objects.create(username=username, first_name=first, last_name=last, email=email)
    return UserProfile.objects.create(user=user, email=email, created_at=clock.now())


def test_only_columns_with_an_index_sort_also_when_the_address_is_typed(staff: Staff) -> None:
    client = staff("admin")
    fill(3)
    address = reverse("admin:accounts_userprofile_changelist")
    assert {"who", "state", "next_change", "money"} <= set(client.get(address).context["cl"].sortable_by)
    leaving = client.get(address, tab := {"access_state__exact": "canceled"}).context["cl"]
    assert "synced" not in leaving.sortable_by
    asked = client.get(address, tab | {"o": list(leaving.list_display).index("synced")}).context["cl"].queryset
    assert "synced_at" not in str(asked.query).partition("ORDER BY")[2]


def test_a_role_that_may_not_make_the_extension_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    migration = import_module("apps.accounts.migrations.0014_search")
    with connection.cursor() as cursor:
        cursor.execute("DROP EXTENSION pg_trgm CASCADE; CREATE ROLE stranger; SET ROLE stranger")
    with pytest.raises(CommandError, match="CREATE EXTENSION pg_trgm"), connection.schema_editor() as editor:
        migration.Trigrams().database_forwards("accounts", editor, None, None)


def test_the_end_of_a_keycloak_session_is_found_by_an_index() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    assert "usersession_sid" in UserSession.objects.filter(data__sid="some").explain()


def test_the_numbers_read_no_seat_and_count_people_once_a_minute(staff: Staff) -> None:
    fill(3)
    dashboard.forget()
    with CaptureQueriesContext(connection) as first:
        dashboard.read()
    with CaptureQueriesContext(connection) as second:
        dashboard.read()
    asked = [query["sql"] for query in first]
    assert not [one for one in asked if '"instances_seat"' in one]
    assert len(first) - len(second) == 2  # and the counts, which the menu reads on every page


def test_nobody_waits_for_the_numbers_while_another_reads_them(staff: Staff, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(3)
    last = dashboard.NUMBERS.get()
    monkeypatch.setattr(dashboard.NUMBERS, "seconds", -1.0)
    with dashboard.NUMBERS.lock:
        assert dashboard.NUMBERS.get() is last
    assert dashboard.NUMBERS.get() is not last


def test_a_scrape_does_not_count_everybody_each_time(staff: Staff, settings: Any) -> None:
    fill(3)
    settings.PROMETHEUS_METRICS_API_KEY = "key"
    for times in (1, 0):
        with CaptureQueriesContext(connection) as asked:
            answer = Client().get("/metrics", headers={"Authorization": "Bearer key"})
        assert 'frontdesk_subscribers{state="active"} ' in answer.text
        assert sum("GROUP BY 1" in one["sql"] and "accounts_userprofile" in one["sql"] for one in asked) == times
