"""Customers come in from Stripe and from a realm: who is there and nobody here; a check that is killed goes on where it was."""

import datetime as dt
import io
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from django.core.management import CommandError, call_command

from apps.access import account_link
from apps.accounts.models import UserProfile
from apps.core import clock, jobs
from apps.identity import account_lists
from apps.instances.models import Instance
from apps.operations import import_job, import_reading, imports
from apps.operations.import_questions import Question
from apps.operations.models import CustomerImport, ImportRow
from tests.operations.importing import WHY, account, check, customer, file_of, line, start
from tests.world import World

pytestmark = pytest.mark.django_db
Source = CustomerImport.Source


def found(run: CustomerImport) -> dict[str, str]:
    """The verdict or the question of each, by address."""
    rows = run.rows.values_list("email", "account__email", "verdict", "question")
    return {email or at_keycloak: question or verdict for email, at_keycloak, verdict, question in rows}


def test_stripe_brings_who_pays_for_ours_and_is_nobody_here(world: World) -> None:
    dana = world.subscriber("dana")
    account(world, "with.account")
    customer(world, "with.account")
    customer(world, "without.account")
    customer(world, "other.shop", price=world.shop.price())
    gone = customer(world, "left.long.ago")
    world.shop.v1.subscriptions.cancel(world.shop.v1.subscriptions.list({"customer": gone}).data[0].id)
    world.skip()
    run = check(imports.plan_source(Source.STRIPE, **WHY))
    assert found(run) == {
        dana.email: "here", "with.account@example.com": "ready", "without.account@example.com": Question.NO_ACCOUNT,
    }  # fmt: skip
    start(run)
    world.deliver()
    assert sorted(UserProfile.objects.values_list("email", "access_state")) == [
        (dana.email, "active"), ("with.account@example.com", "active"),
    ]  # fmt: skip
    again = check(imports.plan_source(Source.STRIPE, **WHY))
    assert found(again)["with.account@example.com"] == "here"
    world.assert_laws_hold()


def test_keycloak_brings_accounts_without_our_mark_but_no_staff(world: World, settings: Any) -> None:
    dana = world.subscriber("dana")
    account(world, "paying.paul")
    customer(world, "paying.paul")
    account(world, "free.fred")
    account(world, "closed.carl", enabled=False)
    canary = account(world, "canary.cora")
    settings.KEYCLOAK_CANARY_USERNAME = "canary.cora"
    world.skip()
    staff = account_lists.list_staff()
    assert staff
    run = check(imports.plan_source(Source.KEYCLOAK, **WHY))
    verdicts = found(run)
    assert dana.email not in verdicts
    assert not run.rows.filter(keycloak_id__in=[*staff, canary]).exists()
    wanted = ("paying.paul", "free.fred", "closed.carl")
    assert [verdicts[f"{name}@example.com"] for name in wanted] == ["ready", Question.LOSES_ACCESS, "ready"]
    paul = run.rows.get(account__email="paying.paul@example.com")
    assert list(paul.customers) == [
        one.id for one in world.shop.v1.customers.list({"email": "paying.paul@example.com"}).data
    ]


def test_a_grant_gives_the_seats_that_an_account_says_it_has(world: World) -> None:
    """The realm names no seats but in attributes; who has none is offered no grant."""
    seated = account(world, "seated.sia", attributes={"has_nextcloud": ["true"], "nextcloud_instance": ["nextcloud-2"]})
    bare = account(world, "bare.bea")
    run = check(imports.plan_source(Source.KEYCLOAK, **WHY))
    choices = {row.keycloak_id: [one[0] for one in row.choices] for row in run.rows.filter(verdict="decision")}
    assert (choices[seated], choices[bare]) == (["grant", "follow", "leave_out"], ["follow", "leave_out"])
    until = clock.now() + dt.timedelta(days=30)
    assert imports.decide_rows(run, Question.LOSES_ACCESS, "grant", until=until, **WHY) == 1
    row = run.rows.get(keycloak_id=seated)
    assert (row.verdict, row.products) == ("ready", ["nextcloud"]), row.why
    start(run)
    world.work()
    sia = UserProfile.objects.get(keycloak_id=seated)
    assert (world.state(sia).access, world.state(sia).attributes["nextcloud_instance"]) == ("active", "nextcloud-2")


def test_an_account_whose_id_has_no_room_here_is_a_conflict_once(world: World, monkeypatch: Any) -> None:
    """Of a user that another system keeps, Keycloak makes the id from that system's."""
    account(world, "ldap.lia")
    list_page = account_lists.list_page

    def kept_elsewhere(first: int) -> Any:
        return tuple(
            replace(one, id=f"f:{one.id}:{one.username}") if one.username == "ldap.lia" else one
            for one in list_page(first)
        )

    monkeypatch.setattr(account_lists, "list_page", kept_elsewhere)
    run = check(imports.plan_source(Source.KEYCLOAK, **WHY))
    imports.check_again(run, **WHY)
    row = check(run).rows.get(problem__contains="ldap.lia")
    assert (row.verdict, row.why) == ("conflict", row.problem)


def test_an_account_out_of_our_reach_says_what_to_do(world: World) -> None:
    """The shipped realm lets us change the members of our group alone."""
    customer(world, "far.fay")
    far = account(world, "far.fay", groups=[])
    run = check(imports.plan_file(file_of(line(keycloak_id=far)), name="", **WHY))
    row = run.rows.get()
    assert row.question == Question.UNREACHABLE
    assert "Put it into our group in Keycloak, then check again." in row.why
    group = next(one for one in world.admin("GET", "/groups").json() if one["path"] == "/frontdesk")
    assert world.admin("PUT", f"/users/{far}/groups/{group['id']}").status_code == 204
    imports.check_again(run, **WHY)
    assert check(run).rows.get().verdict == "ready"


@pytest.mark.parametrize("source", [Source.STRIPE, Source.KEYCLOAK])
def test_a_check_that_is_killed_on_any_page_goes_on_and_adds_nobody_twice(
    world: World, monkeypatch: Any, source: CustomerImport.Source
) -> None:
    for number in range(5):
        account(world, f"page.{number}")
        customer(world, f"page.{number}")
    monkeypatch.setattr(account_lists, "PAGE", 3)
    monkeypatch.setattr(import_reading.adopting, "PAGE", 2)
    monkeypatch.setattr(import_reading, "BATCH", 2)
    run = imports.plan_source(source, **WHY)
    advance, count = import_reading._advance, [0]

    def killed(*args: Any) -> None:
        count[0] += 1
        if count[0] % 2:
            raise RuntimeError("killed")
        advance(*args)

    with mock.patch.object(import_reading, "_advance", killed):
        while CustomerImport.objects.get(pk=run.pk).state == "reading":
            try:
                import_reading.read(str(run.pk))
            except RuntimeError:
                continue
    mine = run.rows.filter(account__email__startswith="page.")
    assert list(mine.order_by("account__email").values_list("account__email", "verdict")) == [
        (f"page.{number}@example.com", "ready") for number in range(5)
    ]
    assert all(len(next(iter(row.customers.values()))["subscriptions"]) == 1 for row in mine)


def test_an_account_of_another_signup_is_never_linked(world: World) -> None:
    """Somebody marked it between the check and the link: staff read whose it is, and it stays as it is."""
    keycloak_id = account(world, "late.lea")
    customer(world, "late.lea")
    run = check(imports.plan_file(file_of(line(keycloak_id=keycloak_id)), name="", **WHY))
    there = world.admin("GET", f"/users/{keycloak_id}").json()
    marked = there | {"attributes": {"onboarding_id": ["8d1f8a5e-0000-4000-8000-000000000000"]}}
    assert world.admin("PUT", f"/users/{keycloak_id}", json=marked).status_code == 204
    start(run)
    import_job.run_import(str(run.pk))
    jobs.drain()
    assert any(
        "carries the mark of another signup" in one
        for one in world.jobs("blocked")
        if one.startswith(account_link.KIND)
    )
    assert world.admin("GET", f"/users/{keycloak_id}").json()["attributes"] == marked["attributes"]


def test_the_command_says_each_verdict_and_keeps_nothing_in_a_dry_run(world: World, tmp_path: Path) -> None:
    account(world, "dry.dora")
    customer(world, "dry.dora")
    file = tmp_path / "customers.csv"
    file.write_bytes(file_of(line("dry.dora@example.com"), line("=1+1")))
    out = io.StringIO()
    call_command("import_customers", str(file), "--dry-run", stdout=out)
    assert "2: Ready. Active, with the account that is there" in out.getvalue()
    assert "3: Conflict. The cell email begins like a formula of a spreadsheet." in out.getvalue()
    assert out.getvalue().endswith("Conflict: 1, Ready: 1\n")
    assert not CustomerImport.objects.exists()
    with pytest.raises(CommandError, match="--actor NAME and --reason WHY"):
        call_command("import_customers", str(file))
    call_command("import_customers", str(file), "--actor", "ops", "--reason", "the old shop", stdout=out)
    assert CustomerImport.objects.get().rows.count() == 2


def test_the_file_may_come_in_where_the_services_cannot_read_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """In compose it is not in the container; on Debian it is root's."""
    given = io.BytesIO(file_of(line("dry.dora@example.com"), line("ida@example.com")))
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=given))
    call_command("import_customers", "-", "--actor", "ops", "--reason", "the old shop", stdout=io.StringIO())
    run = CustomerImport.objects.get()
    assert (run.name, run.rows.count()) == ("", 2)


@pytest.mark.nightly
def test_two_thousand_rows_are_judged_and_imported_within_a_minute(world: World) -> None:
    """Without the calls: Stripe's list and Keycloak's are pages of 100 and 500. Ten thousand took 135 s on two busy cores."""
    count, now = 2_000, int(clock.timestamp())
    run = imports.plan_source(Source.STRIPE, **WHY)
    price = world.price("personal")

    def subscription(number: int) -> dict[str, Any]:
        line = {
            "id": f"si_{number}",
            "quantity": 1,
            "price": {"id": price, "unit_amount": 500, "currency": "eur", "recurring": {"interval": "month"}},
        }
        line |= {"current_period_start": now, "current_period_end": now + 2_000_000}
        return {
            "id": f"sub_{number}",
            "customer": f"cus_{number}",
            "status": "active",
            "created": now,
            "currency": "eur",
            "items": {"data": [line]},
        }

    ImportRow.objects.bulk_create(
        (
            ImportRow(
                run=run, number=number, email=f"many{number}@example.com", customer_id=f"cus_{number}",
                seats={"nextcloud": "nextcloud-1"},
                account={
                    "id": f"account-{number}", "username": f"many{number}", "email": f"many{number}@example.com", "email_verified": True,
                    "enabled": True, "first_name": "Many", "last_name": "", "mark": "", "may_change": True, "is_staff": False, "attributes": {},
                },
                customers={f"cus_{number}": {"email": "", "name": "", "subscriptions": [subscription(number)]}},
            )
            for number in range(1, count + 1)
        ),
        batch_size=1000,
    )  # fmt: skip
    CustomerImport.objects.filter(pk=run.pk).update(stages=["verdicts"])
    began = time.monotonic()
    import_reading.read_to_the_end(run)
    run.refresh_from_db()
    start(run)
    while import_job.write_batch(run.pk):
        pass
    took = time.monotonic() - began
    assert UserProfile.objects.filter(access_state="active").count() == count
    assert Instance.objects.get(slug="nextcloud-1").allocated_seats == count
    assert took < 60
