"""Customers come in from a file: nobody loses access, is charged or written to, and what was imported can be taken back."""

import datetime as dt
from typing import Any
from unittest import mock

import pytest
from django.contrib.auth.models import User
from django.db import DataError, IntegrityError

from apps.access import account_link, reconcile
from apps.access.models import AccessOverride
from apps.accounts.models import UserProfile
from apps.billing import mirror
from apps.core import clock, jobs
from apps.core.errors import BadInput
from apps.core.models import AttentionItem, AuditEntry, Job
from apps.instances.models import Instance, ProductAccount, Seat
from apps.notifications.models import Notification
from apps.operations import import_job, import_undo, imports, pruning, sweeps
from apps.operations.import_questions import Question
from apps.operations.models import CustomerImport, ImportRow
from tests.operations.importing import (
    WHY,
    account,
    check,
    customer,
    file_of,
    line,
    planned,
    queued,
    row,
    start,
    verdicts,
)
from tests.world import World

pytestmark = pytest.mark.django_db
TOMORROW = (dt.datetime.now(dt.UTC) + dt.timedelta(days=400)).date().isoformat()


def old_house(world: World, name: str = "old.olga", **attributes: str) -> tuple[str, str]:
    """Somebody with an open account and a paid subscription; the ids of both."""
    had = {"department": ["choir"]} | {key: [value] for key, value in attributes.items()}
    return account(world, name, attributes=had), customer(world, name)


def test_who_pays_and_has_an_account_comes_in_as_they_are(world: World) -> None:
    """Account, customer, seat and subscription are theirs; nothing is charged, nobody is written to, and the laws hold."""
    keycloak_id, customer_id = old_house(world, nextcloud_instance="nextcloud-2", has_nextcloud="true")
    paid = world.shop.v1.invoices.list({"customer": customer_id}).data
    world.skip()
    run = planned(line("old.olga@example.com", keycloak_id=keycloak_id, stripe_customer_id=customer_id))
    assert verdicts(run) == ["ready"]
    assert row(run).why == f"Active, with the account that is there, customer {customer_id}, a seat on nextcloud-2."
    assert not UserProfile.objects.exists()
    start(run)
    world.work()
    run.refresh_from_db()
    olga = UserProfile.objects.get(stripe_customer_id=customer_id)
    assert (run.state, row(run).state, row(run).profile) == ("done", "imported", olga)
    state = world.state(olga)
    assert (state.access, state.subscription, state.account) == ("active", "active", True)
    assert state.seats == (("nextcloud", "assigned"),)
    assert state.attributes == {"has_nextcloud": "true", "nextcloud_instance": "nextcloud-2", "storage_gb": "100"}
    there = world.account(olga)
    assert there["attributes"]["department"] == ["choir"]
    assert there["attributes"]["onboarding_id"] == [str(olga.onboarding_id)]
    assert world.mails() == []
    assert not Notification.objects.exists()
    assert len(world.shop.v1.invoices.list({"customer": customer_id}).data) == len(paid)
    world.assert_laws_hold()
    assert world.mails() == []


def test_the_same_file_twice_adds_nothing_and_a_second_import_says_so(world: World) -> None:
    keycloak_id, customer_id = old_house(world)
    text = line("Old.Olga@Example.COM", keycloak_id=keycloak_id, stripe_customer_id=customer_id)
    run, twin = planned(text), planned(text)
    start(run)
    start(twin)
    world.work()
    assert [one.state for one in (row(run), row(twin))] == ["imported", "planned"]
    assert row(twin).verdict == "here"
    again = planned(text)
    assert (verdicts(again), row(again).why) == (["here"], f"Is subscriber {row(run).profile_id} already.")
    with pytest.raises(BadInput, match="and not 1"):
        imports.start(again, expected=1, sends_emails=False, **WHY)
    assert UserProfile.objects.count() == 1


@pytest.mark.parametrize(
    ("status", "verdict", "becomes"),
    [
        ("trialing", "ready", "active"),
        ("active", "ready", "active"),
        ("past_due", "decision", ""),
        ("unpaid", "decision", ""),
        ("paused", "decision", ""),
        ("canceled", "decision", ""),
        ("incomplete", "decision", ""),
        ("incomplete_expired", "decision", ""),
        ("a_new_one", "conflict", ""),
    ],
)
def test_a_subscription_in_each_state(world: World, status: str, verdict: str, becomes: str) -> None:
    """Who has access today and would lose it needs a decision; who has a closed account has nothing to lose."""
    keycloak_id, customer_id = old_house(world)
    run = imports.plan_file(file_of(line(keycloak_id=keycloak_id, stripe_customer_id=customer_id)), name="", **WHY)
    list_page = imports.import_reading.adopting.list_page

    def in_status(after: str = "") -> Any:
        page = list_page(after)
        for one in page.subscriptions:
            one.kept["status"] = status
        return page

    with mock.patch.object(imports.import_reading.adopting, "list_page", in_status):
        check(run)
        assert (row(run).verdict, row(run).becomes) == (verdict, becomes), row(run).why
        if verdict == "decision":
            assert row(run).question == Question.LOSES_ACCESS
            closed = world.account(UserProfile(keycloak_id=keycloak_id)) | {"enabled": False}
            assert world.admin("PUT", f"/users/{keycloak_id}", json=closed).status_code == 204
            imports.check_again(run, **WHY)
            assert row(check(run)).verdict == "ready"


def test_whose_money_went_back_needs_a_decision_and_a_part_of_it_does_not(world: World) -> None:
    people = {name: old_house(world, name) for name in ("fay", "gus", "hal", "ivy")}
    charge = {name: world.shop.v1.charges.list({"customer": pair[1]}).data[0] for name, pair in people.items()}
    world.shop.v1.refunds.create({"charge": charge["fay"].id})
    world.shop.v1.refunds.create({"charge": charge["gus"].id, "amount": 100})
    opened = world.shop.control("dispute", charge=charge["hal"].id)
    world.shop.control("close_dispute", dispute=opened["id"], status="lost")
    run = planned(*(line(keycloak_id=account, stripe_customer_id=customer) for account, customer in people.values()))
    assert verdicts(run) == ["decision", "ready", "decision", "ready"]
    assert {one.question for one in run.rows.filter(verdict="decision")} == {Question.MONEY_WENT_BACK}
    assert "was refunded" in row(run, 2).why
    assert "lost in a dispute" in row(run, 4).why
    imports.decide_rows(run, Question.MONEY_WENT_BACK, "follow", number=2, **WHY)
    assert (row(run, 2).verdict, row(run, 4).verdict) == ("ready", "decision")
    start(run)
    world.work()
    fay = UserProfile.objects.get(email="fay@example.com")
    assert world.state(fay).access == "suspended"
    assert not UserProfile.objects.filter(email="hal@example.com").exists()


def test_an_import_left_in_the_middle_is_told_and_then_deleted(world: World) -> None:
    run = many(world, 2)
    ImportRow.objects.filter(run=run, number=2).update(state="imported", imported_at=clock.now())
    imports.set_state(run, CustomerImport.State.PAUSED)
    other = planned(line("someone@example.com"))  # of which nobody was imported
    now = clock.now()
    for days, told, left in ((160, 0, 1), (170, 1, 1), (181, 0, 0)):
        CustomerImport.objects.filter(pk=run.pk).update(checked_at=now - dt.timedelta(days=days))
        pruning.prune(now - dt.timedelta(days=180))
        assert AttentionItem.objects.filter(cause="import_left", resolved_at=None).count() == told
        assert CustomerImport.objects.filter(pk=run.pk).count() == left
    assert not ImportRow.objects.filter(run=run.pk).exists()
    assert CustomerImport.objects.filter(pk=other.pk).exists()


def test_who_would_lose_access_keeps_it_by_a_grant_or_loses_it_by_a_decision(world: World) -> None:
    """Nothing pays for them: without an answer they stay out, and their account stays as it is."""
    first, second = account(world, "free.fred"), account(world, "free.gina")
    run = planned(line(keycloak_id=first, seats="nextcloud=nextcloud-1"), line(keycloak_id=second))
    assert verdicts(run) == ["decision", "decision"]
    assert [one[0] for one in row(run).choices] == ["grant", "follow", "leave_out"]
    offered = {"grant": 1, "follow": 2, "leave_out": 2}  # nothing says what a grant would give the second
    assert imports.count_answers(run) == {Question.LOSES_ACCESS: offered}
    with pytest.raises(BadInput, match="No row is ready"):
        start(run)
    until = clock.now() + dt.timedelta(days=90)
    with pytest.raises(BadInput, match="until when"):
        imports.decide_rows(run, Question.LOSES_ACCESS, "grant", number=2, **WHY)
    imports.decide_rows(run, Question.LOSES_ACCESS, "grant", number=2, until=until, **WHY)
    assert imports.count_answers(run) == {Question.LOSES_ACCESS: {"follow": 1, "leave_out": 1}}
    imports.decide_rows(run, Question.LOSES_ACCESS, "follow", **WHY)
    assert verdicts(run) == ["ready", "ready"]
    run.refresh_from_db()
    start(run)
    world.work()
    fred, gina = UserProfile.objects.get(keycloak_id=first), UserProfile.objects.get(keycloak_id=second)
    assert (world.state(fred).access, world.state(fred).account, world.state(gina).account) == ("active", True, False)
    assert world.state(fred).seats == (("nextcloud", "assigned"),)
    assert AccessOverride.objects.get(profile=fred).ends_at == until
    world.assert_laws_hold()


def test_a_disabled_account_is_enabled_only_when_staff_say_so_and_nobody_is_written_to(world: World) -> None:
    """It was disabled for a reason; its password is as old as the account, and undone it is closed again."""
    keycloak_id, customer_id = account(world, "shut.sam", enabled=False), customer(world, "shut.sam")
    world.skip()
    run = planned(line(keycloak_id=keycloak_id, stripe_customer_id=customer_id))
    assert (row(run).question, [one[0] for one in row(run).choices]) == (
        Question.CLOSED_ACCOUNT,
        ["enable", "leave_out"],
    )
    with pytest.raises(BadInput, match="No row is ready"):
        start(run, emails=True)
    imports.decide_rows(run, Question.CLOSED_ACCOUNT, "enable", **WHY)
    start(run)
    world.deliver()
    sam = UserProfile.objects.get(keycloak_id=keycloak_id)
    assert (world.state(sam).access, world.state(sam).account) == ("active", True)
    assert world.mails() == []
    run.refresh_from_db()
    imports.undo(run, expected=1, **WHY)
    world.work()
    assert row(run).state == "undone", row(run).note
    assert not world.admin("GET", f"/users/{keycloak_id}").json()["enabled"]


def test_less_than_the_account_says_today_needs_a_decision(world: World) -> None:
    keycloak_id, customer_id = old_house(world, storage_gb="500", has_vaultwarden="true")
    run = planned(line(keycloak_id=keycloak_id, stripe_customer_id=customer_id, seats="nextcloud=nextcloud-1"))
    assert (row(run).verdict, row(run).why) == (
        "decision",
        "They would lose what they have: has_vaultwarden, storage_gb.",
    )


def test_without_an_account_nobody_gets_one_unless_emails_are_asked_for(world: World) -> None:
    customer_id = customer(world, "new.nora")
    world.skip()
    run = planned(line("new.nora@example.com", stripe_customer_id=customer_id))
    assert (row(run).verdict, row(run).question) == ("decision", Question.NO_ACCOUNT)
    start(run, emails=True)
    world.deliver()
    nora = UserProfile.objects.get(stripe_customer_id=customer_id)
    assert (world.state(nora).access, world.state(nora).account) == ("active", True)
    assert {
        "Welcome to Frontdesk" in one or "password" in one.lower() or "account" in one.lower()
        for one in world.mails(nora)
    } == {True}
    world.assert_laws_hold()


def test_seats_count_as_found_even_above_every_cap(world: World) -> None:
    full = world.only_room_for(1)
    lines = []
    for number in range(4):
        keycloak_id, customer_id = old_house(world, f"old.{number}")
        lines.append(line(keycloak_id=keycloak_id, stripe_customer_id=customer_id, seats=f"nextcloud={full.slug}"))
    run = planned(*lines)
    start(run)
    world.work()
    full = Instance.objects.get(pk=full.pk)
    assert (full.allocated_seats, full.assigned, full.hard_cap) == (4, 4, 2)
    assert full.over_cap_since is not None
    assert Seat.objects.filter(instance=full, state="assigned").count() == 4
    world.assert_laws_hold()


def test_whom_an_address_names_only_keycloak_may_verify(world: World) -> None:
    verified, unverified = account(world, "sure.sue"), account(world, "bare.bob", emailVerified=False)
    for name in ("sure.sue", "bare.bob", "only.olaf"):
        customer(world, name)
    run = planned(*(line(f"{name}@example.com") for name in ("sure.sue", "bare.bob", "only.olaf")))
    questions = list(run.rows.order_by("number").values_list("verdict", "question"))
    assert questions == [("ready", ""), ("decision", "unverified_account"), ("decision", "unverified_customer")]
    imports.decide_rows(run, Question.UNVERIFIED_ACCOUNT, "link", **WHY)
    assert row(run, 3).question == Question.UNVERIFIED_CUSTOMER
    imports.decide_rows(run, Question.UNVERIFIED_CUSTOMER, "link", number=3, **WHY)
    assert row(run, 3).verdict == "ready"
    imports.decide_rows(run, Question.UNVERIFIED_CUSTOMER, "leave_out", **WHY)
    assert row(run, 4).verdict == "left_out"
    assert {row(run).account["id"], row(run, 3).account["id"]} == {verified, unverified}


def test_conflicts_say_why(world: World) -> None:
    dana = world.subscriber("dana")
    staff = world.users("support.sam")[0]["id"]
    other = account(world, "other.otto", attributes={"onboarding_id": ["8d1f8a5e-0000-4000-8000-000000000000"]})
    User.objects.create(username="taken")
    from allauth.socialaccount.models import SocialAccount

    SocialAccount.objects.create(provider="keycloak", uid=staff, user=User.objects.create(username="support.sam"))
    stranger = customer(world, "strange.stan")
    run = planned(
        line("twin@example.com"), line("TWIN@example.com"),
        line(dana.email, stripe_customer_id=stranger), line(keycloak_id="no-such-account"), line(keycloak_id=staff),
        line(keycloak_id=other), line("x@example.com", stripe_customer_id="cus_gone"), line("taken@example.com"),
        line("=HYPERLINK(1)"), line("y@example.com", seats="nextcloud=nowhere"), line("z@example", username="z"),
    )  # fmt: skip
    found = dict(run.rows.order_by("number").values_list("number", "why"))
    assert found[3] == "Row 2 has the same address."
    assert found[4] == f"Subscriber {dana.pk} is here with another customer."
    assert found[5] == "Keycloak has no account no-such-account."
    assert found[6] == f"Account {staff} is one of staff."
    assert found[7] == f"Account {other} carries the mark of a signup that is not here."
    assert found[8] == "Stripe lists no subscription of cus_gone."
    assert found[9] == "The username is taken. Name another one in the file."
    assert found[10] == "The cell email begins like a formula of a spreadsheet."
    assert found[11] == "There is no instance nowhere of nextcloud."
    assert found[12] == "No email can be delivered to the address."
    assert set(run.rows.exclude(number=2).values_list("verdict", flat=True)) == {"conflict"}


def test_values_without_room_here_are_conflicts_and_not_faults(world: World) -> None:
    """A grant that is over, a username and an address that our columns do not hold."""
    long, plain = account(world, "long.lou", username="l" * 160), account(world, "plain.pat")
    far = customer(world, "far.fin")
    world.shop.v1.customers.update(far, {"email": f"{'f' * 70}@example.com"})
    yesterday = (clock.now() - dt.timedelta(days=1)).date().isoformat()
    run = planned(
        line(keycloak_id=long), line(keycloak_id=plain, products="nextcloud", access_until=yesterday),
        line(stripe_customer_id=far), line("x@example.com", username="\u0130" * 100),
    )  # fmt: skip
    assert verdicts(run) == ["conflict"] * 4
    assert row(run).why == "The username is longer than 150 characters. Change it in Keycloak."
    assert row(run, 3).why.startswith("The grant ended on ")
    assert row(run, 4).why == "No address is known."
    assert row(run, 5).why == "The cell username is longer than 150 characters."
    asking = planned(line(keycloak_id=plain, seats="nextcloud=nextcloud-1"))
    with pytest.raises(BadInput, match="lie in the future"):
        imports.decide_rows(asking, Question.LOSES_ACCESS, "grant", until=clock.now(), **WHY)
    with pytest.raises(BadInput, match="name products or seats in the file"):
        imports.decide_rows(planned(line(keycloak_id=plain)), Question.LOSES_ACCESS, "grant", until=clock.now(), **WHY)


# --- running, killed, paused, undone ------------------------------------------------------------------------------------


def many(world: World, count: int) -> CustomerImport:
    """A checked import of so many with an account and a grant."""
    lines = []
    for number in range(count):
        keycloak_id = account(world, f"many.{number}")
        lines.append(line(keycloak_id=keycloak_id, products="nextcloud", access_until=TOMORROW))
    run = planned(*lines)
    assert set(verdicts(run)) == {"ready"}, row(run).why
    return run


def test_a_killed_batch_leaves_nobody_half_imported_and_goes_on(world: World, monkeypatch: Any) -> None:
    run = many(world, 5)
    monkeypatch.setattr(import_job, "BATCH", 2)
    start(run)
    assert import_job.write_batch(run.pk)
    with (
        mock.patch.object(import_job.found_seats, "occupy", side_effect=RuntimeError("killed")),
        pytest.raises(RuntimeError),
    ):
        import_job.write_batch(run.pk)
    assert UserProfile.objects.count() == run.rows.filter(state="imported").count() == 2
    imports.pause(run, **WHY)
    assert not import_job.write_batch(run.pk)
    imports.resume(run, **WHY)
    world.work()
    run.refresh_from_db()
    assert (run.state, UserProfile.objects.count()) == ("done", 5)
    world.assert_laws_hold()


def test_who_comes_meanwhile_becomes_a_conflict_and_stops_nobody(world: World) -> None:
    run = many(world, 3)
    start(run)
    write = import_job._write_people
    done: list[int] = []

    def late(*args: Any) -> None:
        if not done:
            done.append(1)
            user = User.objects.create(username="many.1")
            UserProfile.objects.create(user=user, email="elsewhere@example.com", created_at=clock.now())
        write(*args)

    with mock.patch.object(import_job, "_write_people", late):
        import_job.write_batch(run.pk)
    world.work()
    assert sorted(run.rows.values_list("state", "verdict")) == [("imported", "ready")] * 3


@pytest.mark.parametrize(
    ("problem", "why"),
    [
        (BadInput("The end must lie in the future."), "The end must lie in the future."),
        (DataError("value too long"), import_job.NO_ROOM),
        (IntegrityError("twice"), import_job.TAKEN),
    ],
)
def test_a_row_that_cannot_be_written_says_why_and_stops_no_other(
    world: World, monkeypatch: Any, problem: Exception, why: str
) -> None:
    run = many(world, 5)
    start(run)
    grant = import_job.overrides.grant

    def refused(*, profile: UserProfile, **rest: Any) -> Any:
        if profile.user.username == "many.3":
            raise problem
        return grant(profile=profile, **rest)

    monkeypatch.setattr(import_job.overrides, "grant", refused)
    import_job.run_import(str(run.pk))
    run.refresh_from_db()
    assert run.state == "done"
    found = [(one.state, one.verdict) for one in run.rows.order_by("number")]
    assert found == [("imported", "ready")] * 3 + [("planned", "conflict")] + [("imported", "ready")]
    assert row(run, 5).why == why
    assert UserProfile.objects.count() == 4


def test_a_link_that_is_killed_after_its_mark_still_notes_how_the_account_was_found(world: World) -> None:
    """Else nothing says what to give back, and the payments are never fetched. Nothing else touches the account before."""
    keycloak_id, customer_id = old_house(world)
    text = line(keycloak_id=keycloak_id, stripe_customer_id=customer_id, products="nextcloud", access_until=TOMORROW)
    run = planned(text)
    start(run)
    import_job.run_import(str(run.pk))
    olga = UserProfile.objects.get(keycloak_id=keycloak_id)
    assert (queued(account_link.KIND), queued(*reconcile.KINDS)) == (1, 0)
    killed = mock.patch.object(account_link.reconcile, "enqueue", side_effect=RuntimeError("killed"))
    with killed, pytest.raises(RuntimeError):
        account_link.link_account(str(olga.pk))
    assert world.account(olga)["attributes"]["onboarding_id"] == [str(olga.onboarding_id)]
    for _ in range(2):
        account_link.link_account(str(olga.pk))
    assert AuditEntry.objects.get(action="account_linked", subject_id=str(olga.pk)).after["groups"] == []
    assert queued(mirror.KIND) == 1


def test_checked_again_what_is_imported_keeps_its_undo(world: World) -> None:
    """Neither what was found nor the import goes, though it waits to be started again."""
    keycloak_id, customer_id = old_house(world, storage_gb="50", nextcloud_instance="nextcloud-2", has_nextcloud="true")
    run = planned(line(keycloak_id=keycloak_id, stripe_customer_id=customer_id), line("no.account@example.com"))
    start(run)
    world.work()
    run.refresh_from_db()
    found = row(run).account
    imports.check_again(run, **WHY)
    assert check(run).state == "planned"
    assert row(run).account == found
    assert "Undo it instead" in imports.refuse_abandoning(run)
    assert not imports.unstarted().exists()
    imports.undo(run, expected=1, **WHY)
    world.work()
    assert row(run).state == "undone", row(run).note
    there = world.admin("GET", f"/users/{keycloak_id}").json()
    assert there["attributes"]["storage_gb"] == ["50"]


def test_a_sync_that_comes_before_the_link_waits_for_it_and_brings_it_forward(world: World) -> None:
    """Nothing is written to an account before it is known how it was found."""
    run = many(world, 1)
    start(run)
    import_job.run_import(str(run.pk))
    fay = UserProfile.objects.get()
    keycloak_id = fay.keycloak_id
    before = world.account(fay)
    reconcile.reconcile(str(fay.pk))
    assert (world.account(fay), world.groups(fay)) == (before, [])
    link = Job.objects.get(kind="link_account")
    assert link.importance == Job.Importance.CHANGE
    syncs = Job.objects.filter(kind__in=reconcile.KINDS, key=str(fay.pk))
    Job.objects.filter(pk=link.pk).update(state="blocked")  # staff have to look at it first
    reconcile.enqueue(fay, reason="somebody asked")
    for _ in range(2):  # nor does the sweep ask again, each minute, for what waits for staff
        sweeps.sweep_access("periodic")
        jobs.drain()
        assert list(syncs.values_list("state", "last_error")) == [("blocked", mock.ANY)]
    assert "Retry the job that links it" in syncs.get().last_error
    assert world.account(fay) == before
    jobs.retry(link, actor="staff:ada")
    world.work()
    assert not reconcile.failed_or_blocked().exists()
    assert AuditEntry.objects.get(action="account_linked").after["groups"] == []
    assert world.groups(fay)
    assert world.state(fay).access == "active"
    run.refresh_from_db()
    imports.undo(run, expected=1, **WHY)
    world.work()
    assert row(run).state == "undone", row(run).note
    assert world.groups(UserProfile(keycloak_id=keycloak_id)) == []


def test_who_has_an_account_of_ours_in_an_app_is_kept(world: World) -> None:
    run = many(world, 1)
    start(run)
    world.work()
    place = Instance.objects.get(slug="nextcloud-1")
    mine = ProductAccount.objects.create(profile=UserProfile.objects.get(), instance=place, user_id="u", state="open")
    run.refresh_from_db()
    imports.undo(run, expected=1, **WHY)
    import_undo.undo_row(str(row(run).pk))
    assert (row(run).state, row(run).note) == (
        "kept",
        "We have made or changed their account in an app, which would stay behind.",
    )
    assert ProductAccount.objects.filter(pk=mine.pk).exists()


def test_undo_removes_what_the_import_wrote_and_keeps_who_was_changed(world: World) -> None:
    keycloak_id, customer_id = old_house(world, storage_gb="50", nextcloud_instance="nextcloud-2", has_nextcloud="true")
    other, seen = account(world, "logged.lea"), account(world, "held.hans")
    lines = [line(keycloak_id=one, products="nextcloud", access_until=TOMORROW) for one in (other, seen)]
    run = planned(line(keycloak_id=keycloak_id, stripe_customer_id=customer_id), *lines)
    start(run)
    world.work()
    User.objects.filter(profile__keycloak_id=other).update(last_login=clock.now())
    hans = UserProfile.objects.get(keycloak_id=seen)
    from apps.access import overrides

    overrides.no_suspend(
        profile=hans, until=clock.now() + dt.timedelta(days=3), actor="staff:bob", reason="asked by phone"
    )
    world.work()
    run.refresh_from_db()
    imports.undo(run, expected=3, **WHY)
    world.work()
    run.refresh_from_db()
    assert (run.state, list(run.rows.order_by("number").values_list("state", flat=True))) == (
        "undone",
        ["undone", "kept", "kept"],
    )
    assert row(run, 3).note == "They have logged in since."
    assert row(run, 4).note == "Somebody has changed something since: see the timeline."
    assert not UserProfile.objects.filter(stripe_customer_id=customer_id).exists()
    there = world.admin("GET", f"/users/{keycloak_id}").json()
    assert there["enabled"]
    assert there["attributes"] == {
        "department": ["choir"], "storage_gb": ["50"], "nextcloud_instance": ["nextcloud-2"], "has_nextcloud": ["true"],
    }  # fmt: skip
    assert not Seat.objects.filter(instance__slug="nextcloud-2").exists()
    assert (
        Instance.objects.get(slug="nextcloud-2").allocated_seats
        == Seat.objects.filter(instance__slug="nextcloud-2", state="assigned").count()
    )
    assert world.stripe_state(UserProfile(stripe_customer_id=customer_id))["status"] == "active"
    assert world.jobs() == []
    again = planned(line(keycloak_id=keycloak_id, stripe_customer_id=customer_id))
    assert verdicts(again) == ["ready"]
    world.assert_laws_hold()


def test_an_undo_that_is_killed_between_keycloak_and_here_begins_again(world: World) -> None:
    run = many(world, 1)
    start(run)
    world.work()
    run.refresh_from_db()
    imports.undo(run, expected=1, **WHY)
    with mock.patch.object(import_undo, "_remove", side_effect=RuntimeError("killed")), pytest.raises(RuntimeError):
        import_undo.undo_row(str(row(run).pk))
    assert (row(run).state, UserProfile.objects.count()) == ("undoing", 1)
    world.work()
    run.refresh_from_db()
    assert (run.state, row(run).state, UserProfile.objects.count()) == ("undone", "undone", 0)


def test_what_happened_before_the_import_is_news_to_nobody(world: World) -> None:
    """A cancellation for later and a refund from before: no email; one that comes later is told."""
    keycloak_id, customer_id = old_house(world)
    sub = world.shop.v1.subscriptions.list({"customer": customer_id}).data[0].id
    charge = world.shop.v1.charges.list({"customer": customer_id}).data[0].id
    world.shop.control("refund", charge=charge, amount=100)
    world.shop.v1.subscriptions.update(sub, {"cancel_at_period_end": True})
    world.skip()
    start(planned(line(keycloak_id=keycloak_id, stripe_customer_id=customer_id)))
    world.deliver()
    world.pass_time(seconds=600)
    world.deliver()
    assert world.mails() == []
    olga = UserProfile.objects.get(stripe_customer_id=customer_id)
    assert AuditEntry.objects.get(action="subscriber_imported", subject_id=str(olga.pk)).after["ends"] != []
    world.shop.v1.subscriptions.update(sub, {"cancel_at_period_end": False})
    world.deliver()
    world.shop.control("refund", charge=charge, amount=100)
    world.deliver()
    world.pass_time(seconds=600)
    world.deliver()
    assert len(world.mails(olga)) == 1
    assert ImportRow.objects.count() == 1
