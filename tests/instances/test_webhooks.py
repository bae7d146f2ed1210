"""A product of another's making is told by signed webhooks what each account should be, and what it answers counts."""

from typing import Any

import pytest

from apps.core import attention, clock, retention
from apps.core.attention import Cause
from apps.core.errors import BadInput, DependencyDown, NeedsOperator
from apps.core.models import AttentionItem, AuditEntry, Dependency
from apps.instances.models import ProductAccount, Provisioning, WebhookDelivery
from apps.instances.provisioning import accounts, deliveries, messages, posting
from apps.instances.provisioning.connections import check_connection, remove_connection, save_connection
from apps.sandbox.receiver_account import NEXT_SECRET, SECRET
from tests.instances.products import GB
from tests.instances.receivers import ToldProduct, connection, log
from tests.instances.receivers import product as product

pytestmark = pytest.mark.django_db
ORDER = "account.order"
WHY = {"actor": "staff:ada", "reason": "it was restored from a backup"}


def test_drift_and_usage_come_by_questions_that_leave_no_lines_in_the_log(product: ToldProduct) -> None:
    product.order()
    product.change({"enabled": False, "used": 7 * GB})
    product.check()
    assert product.has == (True, 100)
    assert product.account.used == 7 * GB
    found = AuditEntry.objects.get(subject_id=str(product.profile.pk), action="product_drift_found")
    assert found.after["enabled"] is False
    assert log() == [(ORDER, "accepted", 200)] * 2


def test_an_account_that_is_gone_there_is_told_to_staff(product: ToldProduct) -> None:
    product.order()
    product.change(None)
    product.check()
    assert product.has == (True, 100)
    assert AttentionItem.objects.get(cause="product_account_lost").profile_ids == [product.profile.pk]


def test_one_that_never_says_what_it_has_is_taken_at_its_word(product: ToldProduct) -> None:
    product.fault("silent")
    product.order()
    product.order("suspended")
    assert product.has == (False, 100)
    product.check()
    kept = product.account
    assert (kept.exists, kept.enabled, kept.used, kept.synced_at is not None) == (True, False, None, True)
    assert not AttentionItem.objects.filter(cause="product_account_lost").exists()
    assert product.stuck() == []


def test_one_that_says_yes_and_does_nothing_is_not_believed(product: ToldProduct) -> None:
    product.fault("order_ignored")
    product.order()
    assert "did not keep what was written" in product.stuck()[0][1]
    product.fault("ok")
    product.work()
    assert product.has == (True, 100)


@pytest.mark.parametrize(
    ("mode", "status", "key", "says"),
    [
        ("http_410", 410, "{slug}", "nobody receives there any more"),
        ("http_401", 401, "{slug}", "refuses what it is told (401)"),
        ("redirect", 307, "{slug}", "refuses what it is told (307)"),
        ("http_422", 422, "{slug}:{pk}", "told of account {pk} (422)"),
    ],
)
def test_a_refusal_is_for_staff_until_a_message_is_taken(
    mode: str, status: int, key: str, says: str, product: ToldProduct
) -> None:
    product.fault(mode)
    product.order()
    kept = product.account
    item = AttentionItem.objects.get(cause="webhook_refused")
    assert (item.key, item.profile_ids, item.resolved_at) == (
        key.format(slug=product.place.slug, pk=kept.pk),
        [product.profile.pk],
        None,
    )
    assert says.format(pk=kept.pk) in item.sentence
    assert (log(), product.stuck()[0][0]) == ([(ORDER, "refused", status)], "blocked")
    assert product.state["accounts"] == {}
    product.fault("ok")
    assert deliveries.send_again(WebhookDelivery.objects.all(), **WHY) == 1
    product.work()
    assert product.has == (True, 100)
    item.refresh_from_db()
    assert item.resolved_at is not None
    assert product.stuck() == []


@pytest.mark.parametrize(("mode", "asked"), [("http_410", 1), ("http_401", 1), ("redirect", 1), ("http_422", 2)])
def test_an_address_that_refuses_us_is_not_asked_about_everybody(mode: str, asked: int, product: ToldProduct) -> None:
    for user_id in ("kc-former", "kc-dana"):  # the first leaves then
        accounts.order(
            profile=product.profile, instance=product.place.slug, state=accounts.State.OPEN, user_id=user_id, quota=GB
        )
    product.work()
    before = len(log())
    product.fault(mode)
    product.check()
    assert len(log()) - before == asked
    assert not ProductAccount.objects.filter(read_at=None).exists()


def no_more(product: ToldProduct) -> None:
    remove_connection(product.place, **WHY)


def another_kind(product: ToldProduct) -> None:
    ProductAccount.objects.update(state="deleted", synced_at=clock.now())
    save_connection(
        Provisioning(instance=product.place, kind="nextcloud", address=f"{product.standin.url}/nextcloud/files", login="a"),
        **WHY,
    )  # fmt: skip


def erased(product: ToldProduct) -> None:
    accounts.forget_person(product.profile)


@pytest.mark.parametrize(
    ("mode", "ends"),
    [("http_410", no_more), ("http_422", no_more), ("http_422", another_kind), ("http_422", erased)],
)
def test_a_refusal_is_over_where_no_message_will_follow(mode: str, ends: Any, product: ToldProduct) -> None:
    product.fault(mode)
    product.order()
    attention.report(Cause.WEBHOOK_REFUSED, f"{product.place.slug}0:1", "Another instance's.")
    ends(product)
    assert [item.key for item in attention.open_items()] == [f"{product.place.slug}0:1"]


@pytest.mark.parametrize(("mode", "status", "parked"), [("down", None, True), ("http_503", 503, True), ("http_500", 500, False)])  # fmt: skip
def test_a_failure_is_repeated_by_the_job_under_a_new_id(mode: str, status: int | None, parked: bool, product: ToldProduct) -> None:  # fmt: skip
    product.fault(mode)
    product.order()
    assert log() == [(ORDER, "failed", status)]
    assert Dependency.objects.exists() == parked
    product.fault("ok")
    product.work()
    assert product.has == (True, 100)
    assert log()[-1] == (ORDER, "accepted", 200)
    assert (product.stuck(), AttentionItem.objects.filter(cause="webhook_refused").count()) == ([], 0)


def test_an_answer_that_is_lost_is_no_reason_for_a_doubled_id(product: ToldProduct) -> None:
    product.fault("lost_answer", times=1)
    product.order()
    assert product.has == (True, 100)
    assert product.account.synced_at is None
    product.work()
    assert product.account.synced_at is not None
    assert len(set(product.state["seen"])) == 2


def test_what_was_sent_twice_or_late_is_refused_by_a_strict_receiver(product: ToldProduct) -> None:
    """The stand-in is as strict as the manual's example: an order that was overtaken does no harm."""
    product.order()
    data = product.state["messages"][0]["data"] | {"enabled": False}
    url = product.connection.address
    late = messages.write_message("msg_late", ORDER, data, keys=[SECRET], at=clock.machine_now())
    assert posting.post(url, late.body, late.headers).status == 409
    again = messages.write_message(
        product.state["seen"][0], ORDER, data | {"sequence": 10**9}, keys=[SECRET], at=clock.machine_now()
    )  # fmt: skip
    assert posting.post(url, again.body, again.headers).status == 409
    assert product.has == (True, 100)


def test_sent_again_is_what_should_be_now(product: ToldProduct) -> None:
    product.order()
    first = WebhookDelivery.objects.get()
    product.order(gb=500)
    product.change({"quota": 100 * GB})
    assert deliveries.send_again([first], **WHY) == 1
    product.work()
    assert product.has == (True, 500)
    assert len({one["data"]["sequence"] for one in product.state["messages"]}) == 3
    line = AuditEntry.objects.get(action="product_order_sent_again")
    assert (line.subject_id, line.actor, line.after["quota"]) == (str(product.profile.pk), "staff:ada", 500 * GB)
    Provisioning.objects.all().delete()
    with pytest.raises(BadInput, match="takes no webhooks now"):
        deliveries.send_again([first], **WHY)


def test_a_secret_is_changed_without_a_gap(product: ToldProduct, settings: Any) -> None:
    product.order()
    settings.PROVISIONER_SECRETS = dict.fromkeys(settings.PROVISIONER_SECRETS, f"{NEXT_SECRET},{SECRET}")
    product.order(gb=500)
    assert product.has == (True, 500)
    product.standin.control("receiver", host=product.place.slug, secrets=[NEXT_SECRET])
    product.order(gb=100)
    assert product.has == (True, 100)
    settings.PROVISIONER_SECRETS = dict.fromkeys(settings.PROVISIONER_SECRETS, SECRET)
    product.order(gb=500)
    assert log()[-1] == (ORDER, "refused", 401)


def test_the_log_keeps_no_secret_no_signature_and_no_address(product: ToldProduct) -> None:
    product.fault("echo")
    product.order()
    (row,) = WebhookDelivery.objects.all()
    assert (row.state, len(row.answer) > 100) == ("accepted", True)
    for hidden in ("ada@", "v1,", SECRET.removeprefix("whsec_"), "\0"):
        assert hidden not in row.answer


def test_an_answer_without_end_is_read_for_so_long_and_no_longer(
    product: ToldProduct, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posting, "WHOLE_SECONDS", 2)
    product.fault("endless")
    product.order()
    (row,) = WebhookDelivery.objects.all()
    assert (row.state, set(row.answer) <= {"."}) == ("accepted", True)
    monkeypatch.setattr(posting, "WHOLE_SECONDS", 15)
    monkeypatch.setattr(posting, "LARGEST_ANSWER", 5)
    answer = posting.post(product.connection.address, b"{}", {})
    assert (answer.status, len(answer.text) < 100) == (415, True)


def test_an_account_of_another_form_is_not_guessed_at(product: ToldProduct) -> None:
    product.fault("malformed")
    product.order()
    assert "its answer has no valid enabled" in product.stuck()[0][1]


def test_what_is_kept_for_a_legal_hold_is_suspended_and_not_deleted(
    product: ToldProduct, monkeypatch: pytest.MonkeyPatch
) -> None:
    product.order()
    monkeypatch.setattr(accounts, "is_kept", lambda _profile: True)
    product.order("deleted")
    assert product.has == (False, 100)
    assert product.account.state == "leaving"


@pytest.mark.mutant
def test_without_that_guard_it_would_be_deleted(product: ToldProduct, monkeypatch: pytest.MonkeyPatch) -> None:
    product.order()
    monkeypatch.setattr(accounts, "is_kept", lambda _profile: False)
    product.order("deleted")
    assert product.has is None


@pytest.mark.parametrize(
    ("changes", "https", "sentence"),
    [
        ({"address": "http://127.0.0.1/hook"}, True, "with https"),
        ({"address": "https://169.254.169.254/latest"}, False, "Add 169.254.169.254 to OUTBOUND_HOSTS"),
        ({"address": "https://127.0.0.1@evil.example/"}, False, "must not contain a username or a password"),
        ({"address": "https://evil.example/#127.0.0.1"}, False, "Add evil.example"),
    ],
)
def test_an_address_that_is_not_ours_to_call_is_refused(
    changes: dict[str, str], https: bool, sentence: str, product: ToldProduct, settings: Any
) -> None:
    settings.HTTPS = https
    found = connection(product.standin, product.place)
    found.address = changes["address"]
    with pytest.raises(BadInput, match=sentence):
        check_connection(found)
    assert log() == []


def test_the_hosts_of_our_own_peers_are_no_products(
    product: ToldProduct, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.KEYCLOAK_SERVER_URL = "https://login.example.com"
    monkeypatch.setitem(settings.DATABASES["default"], "HOST", "db.example.com")
    found = connection(product.standin, product.place)
    for host in ("login.example.com", "db.example.com", "localhost"):  # the last is our own, in BASE_URL
        found.address = f"https://{host}/"
        with pytest.raises(BadInput, match=f"Add {host} to OUTBOUND_HOSTS"):
            check_connection(found)
    assert log() == []


def test_a_connection_is_tested_before_it_is_saved(product: ToldProduct, settings: Any) -> None:
    check_connection(connection(product.standin, product.place))
    settings.PROVISIONER_SECRETS = dict.fromkeys(settings.PROVISIONER_SECRETS, NEXT_SECRET)
    with pytest.raises(NeedsOperator, match=r"did not take the test \(401\)"):
        check_connection(connection(product.standin, product.place))
    product.fault("down")
    with pytest.raises(DependencyDown, match="did not take the test"):
        check_connection(connection(product.standin, product.place))
    assert log() == [
        ("endpoint.test", "accepted", 204),
        ("endpoint.test", "refused", 401),
        ("endpoint.test", "failed", None),
    ]
    assert not attention.open_items().exists()


def test_what_receives_may_move_with_accounts_there(product: ToldProduct) -> None:
    product.order()
    moved = connection(product.standin, product.place)
    moved.address += "/v2"
    save_connection(moved, **WHY)
    assert Provisioning.objects.get().address.endswith("/v2")
    moved.kind = "nextcloud"
    with pytest.raises(BadInput, match="1 account of ours is in Webhook"):
        save_connection(moved, **WHY)


def test_old_lines_are_deleted(product: ToldProduct) -> None:
    product.order()
    check_connection(product.connection)
    WebhookDelivery.objects.filter(account=product.account).update(sent_at="2020-01-01T00:00Z")
    assert retention.RULES["webhook_deliveries"].prune(retention.limit_of("webhook_deliveries")) == 1
    assert [kind for kind, *_ in log()] == ["endpoint.test"]
