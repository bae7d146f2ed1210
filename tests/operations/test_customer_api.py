"""The customer API: what a key may read, what every answer is, and what is refused. The document is held to be true throughout."""

import datetime as dt
import json
from typing import Any

import pytest
import schemathesis
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.access.upcoming import Change
from apps.accounts.models import Membership
from apps.billing.models import Subscription
from apps.core import clock, limits, restores
from apps.core.errors import BadInput
from apps.core.models import AuditEntry
from apps.core.reasons import ReasonCode
from apps.core.states import AccessState
from apps.instances.models import ProductAccount, Seat
from apps.operations import privacy
from apps.operations.api import keys, problems, views
from apps.operations.api.customers import moment
from apps.operations.models import CustomerApiKey
from tests.instances import house
from tests.operations.customer_api import BASE, BY, DOCUMENT, PERSONAL, READ, System, check, make_key
from tests.world import World

pytestmark = pytest.mark.django_db


def test_a_customer_is_found_and_read_with_access_plan_seats_dates_and_payer(world: World, settings: Any) -> None:
    settings.SITE_LANGUAGES = ("en", "de")
    dana = world.subscriber("dana", plus=1, storage_100=2)
    crm = System(READ, PERSONAL)
    by = {
        "email": "DANA@example.com",
        "keycloak_id": dana.keycloak_id or "",
        "stripe_customer": dana.stripe_customer_id or "",
    }
    for name, value in by.items():
        (found,) = crm.read("customers", **{name: value})["customers"]
        assert (found["id"], found["state"], found["has_access"]) == (dana.pk, "active", True)
    assert crm.read("customers", email="nobody@example.com")["customers"] == []
    said = crm.customer(dana.pk)
    assert said["personal"] == {
        "email": "dana@example.com", "email_problem": None, "username": "dana", "first_name": "Dana", "last_name": "Example",
    }  # fmt: skip
    assert (said["access"]["reason"]["code"], said["access"]["sentence"]) == ("paid", dana.access_sentence)
    assert said["entitlements"] == {"apps": ["nextcloud", "vaultwarden"], "numbers": {"storage_gb": 700}, "people": 0}
    assert {(one["product"]["slug"], one["state"]) for one in said["seats"]} == {
        ("nextcloud", "assigned"),
        ("vaultwarden", "assigned"),
    }
    (subscription,) = said["subscriptions"]
    assert (subscription["id"], subscription["status"]) == (dana.stripe_subscription_id, "active")
    assert {(line["product"]["slug"], line["product"]["is_plan"], line["quantity"]) for line in subscription["lines"]} == {
        ("plus", True, 1), ("storage_100", False, 2),
    }  # fmt: skip
    assert [(one["change"], one["at"]) for one in said["next"]] == [("renews", subscription["current_period_end"])]
    (entry,) = crm.read(f"customers/{dana.pk}/history", template="customers/{id}/history")["history"]
    assert (entry["from"], entry["to"], entry["reason"]["code"]) == ("none", "active", "paid")
    german = json.loads(crm.get(f"customers/{dana.pk}", headers={"Accept-Language": "de"}).content)
    assert german["access"]["sentence"] not in {"", said["access"]["sentence"]}
    ends = clock.now() + dt.timedelta(days=3)
    Subscription.objects.update(cancel_at=ends)  # it will end, and no sync has seen it yet
    first = crm.customer(dana.pk)["next"][0]
    assert (first["change"], first["at"]) == ("subscription_ends", moment(ends))
    Subscription.objects.update(cancel_at=None)
    world.assert_laws_hold()


def test_without_the_scope_nothing_says_who_somebody_is() -> None:
    profile, support = house.person(), System(READ)
    member = house.person()
    now = clock.now()
    Membership.objects.create(payer=profile, member=member, email=member.email, invited_at=now, accepted_at=now)
    paths = [
        ("customers", "customers"),
        (f"customers/{member.pk}", "customers/{id}"),
        (f"customers/{profile.pk}", "customers/{id}"),
    ]
    for path, template in paths:
        answer = support.get(path)
        said = check(f"{BASE}{template}", answer)
        assert "personal" not in json.dumps(said)
        for one in (profile, member):
            assert one.email not in answer.content.decode()
            assert one.user.username not in answer.content.decode()
    assert support.customer(member.pk)["paid_by"] == profile.pk
    assert support.customer(profile.pk)["pays_for"] == [member.pk]
    assert support.read("customers", status=403, email=profile.email)["code"] == "missing_scope"


def test_storage_is_that_of_the_account_in_use_not_of_a_former_login() -> None:
    profile, product = house.person(), house.app()
    place = house.instance(product)
    now = clock.now()
    Seat.objects.create(
        profile=profile, product=product, instance=place, state="assigned", created_at=now, changed_at=now
    )

    def account(user_id: str, state: str, used: int) -> None:
        ends = now if state == "leaving" else None
        ProductAccount.objects.create(
            profile=profile, instance=place, user_id=user_id, state=state, used=used, quota_found=9, delete_at=ends
        )

    account("before", "leaving", 1)
    account("now", "open", 2)
    account("long ago", "deleted", 3)
    (seat,) = System(READ).customer(profile.pk)["seats"]
    assert seat["storage"] == {"used": 2, "quota": 9}
    ProductAccount.objects.filter(user_id="now").delete()
    (seat,) = System(READ).customer(profile.pk)["seats"]
    assert seat["storage"] is None


def test_an_erased_customer_is_told_as_one() -> None:
    profile, crm = house.person(), System(READ, PERSONAL)
    privacy.erase(profile, **BY)
    said = crm.customer(profile.pk)
    assert (said["erased"], said["personal"], said["keycloak_id"]) == (True, None, None)


def test_each_refusal_is_a_problem_that_the_document_names() -> None:
    crm = System(READ)
    profile = house.person()
    cases: list[tuple[str, str, int, dict[str, Any]]] = [
        ("customers", "bad_parameter", 400, {"emial": "x"}), ("customers", "bad_parameter", 400, {"keycloak_id": "a", "stripe_customer": "b"}),
        ("customers", "bad_parameter", 400, {"limit": "201"}), ("customers", "bad_parameter", 400, {"limit": "0"}),
        ("customers", "bad_parameter", 400, {"after": "²"}), ("customers", "bad_parameter", 400, {"keycloak_id": ""}),
        ("customers", "bad_parameter", 400, {"keycloak_id": "x" * 301}), ("customers", "bad_parameter", 400, {"keycloak_id": "a\x00"}),
        ("changes", "bad_parameter", 400, {"after": "nonsense"}), ("changes", "cursor_gone", 410, {"after": "7.1"}),
    ]  # fmt: skip
    for path, code, status, query in cases:
        assert crm.read(path, status=status, **query)["code"] == code, query
    twice = crm.client.get(f"{BASE}customers?after=1&after=2", headers={"Authorization": f"Bearer {crm.text}"})
    assert check(f"{BASE}customers", twice)["code"] == "bad_parameter"
    for number in ("0", "-1", "1e3", "²", "9" * 40, str(profile.pk + 1000)):
        assert crm.read(f"customers/{number}", status=404, template="customers/{id}")["code"] == "not_found"
    for kind in ("text/html", "application/json;q=0, text/*", "application/xml"):
        answer = crm.get("customers", headers={"Accept": kind})
        assert check(f"{BASE}customers", answer)["code"] == "not_acceptable"
    for kind in ("*/*", "application/json", "text/html, application/*;q=0.1"):
        assert crm.get("customers", headers={"Accept": kind}).status_code == 200


def test_every_method_but_get_and_head_is_refused_at_every_address() -> None:
    for path in ("customers", "customers/1", "customers/1/history", "changes", "openapi.json", "nowhere"):
        for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"):
            answer: Any = Client(enforce_csrf_checks=True).generic(method, f"{BASE}{path}")
            assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD"), (method, path)
            assert json.loads(answer.content)["code"] == "method"
    answer = Client().get(f"{BASE}nowhere")
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/problem+json")


def test_only_a_valid_key_opens_the_door(settings: Any) -> None:
    crm = System(READ, networks=("127.0.0.0/8",))
    path = f"{BASE}customers"

    def code(sent: str | None, address: str = "127.0.0.1") -> str:
        headers = {} if sent is None else {"Authorization": sent}
        answer: Any = Client(REMOTE_ADDR=address).get(path, headers=headers)
        return "" if answer.status_code == 200 else str(check(path, answer)["code"])

    good = f"Bearer {crm.text}"
    assert code(good) == code(good.replace("Bearer", "bearer")) == ""
    assert code(good, "::ffff:127.0.0.9") == ""
    for sent in (None, crm.text, "Basic abc", "Bearer"):
        assert code(sent) == "no_key", sent
    last = "0" if crm.text[-1] != "0" else "1"
    for text in (
        crm.text[:-1] + last,
        crm.text.upper(),
        crm.text + "0",
        crm.key.digest,
        "fdk_00000000_" + "0" * 64,
        "ü",
    ):
        assert code(f"Bearer {text}") == "invalid_key", text
    assert code(good, "192.0.2.1") == "wrong_network"
    assert code(good, "unknown") == "wrong_network"
    assert Client().get(path, {"key": crm.text}).status_code == 401
    CustomerApiKey.objects.filter(pk=crm.key.pk).update(
        expires_at=clock.now(), created_at=clock.now() - dt.timedelta(1)
    )
    assert code(good) == "key_expired"
    keys.revoke_key(crm.key, **BY)
    assert code(good) == "key_revoked"
    with pytest.raises(BadInput, match="already"):
        keys.revoke_key(crm.key, **BY)


@pytest.mark.mutant
def test_mutant_that_compares_the_prefix_alone_lets_a_wrong_key_in(monkeypatch: pytest.MonkeyPatch) -> None:
    crm = System(READ)
    wrong = crm.text[:14] + "0" * 63
    assert len(wrong) == len(crm.text)
    assert keys.find_key(wrong) is None
    monkeypatch.setattr(keys, "constant_time_compare", lambda _one, _other: True)
    assert keys.find_key(wrong) == crm.key


def test_a_key_is_kept_as_a_hash_and_made_and_revoked_in_the_audit_log() -> None:
    key, text = make_key(PERSONAL, networks=("192.0.2.7", "2001:db8::1/48"))
    assert (key.scopes, key.networks) == ([PERSONAL, READ], ["192.0.2.7/32", "2001:db8::/48"])
    keys.revoke_key(key, **BY)
    with connection.cursor() as cursor:
        cursor.execute("SELECT k::text, array(SELECT a::text FROM core_auditentry a) FROM operations_customerapikey k")
        row, entries = cursor.fetchone()
    assert text.rpartition("_")[2] not in row + "".join(entries)
    made, revoked = AuditEntry.objects.filter(subject_kind="customerapikey").order_by("pk")
    assert (made.action, made.actor, made.after["scopes"]) == ("api_key_made", "staff:ada", [PERSONAL, READ])
    assert revoked.action == "api_key_revoked"
    for wrong in (("example.com",), ("10.0.0.0/33",), ("10.0.0.1",) * 21):
        with pytest.raises(BadInput):
            make_key(networks=wrong)
    for days in (-1.0, 2000.0):
        with pytest.raises(BadInput):
            make_key(days=days)


def test_a_key_has_so_many_requests_and_is_told_how_many_are_left(settings: Any) -> None:
    settings.LIMITS = settings.LIMITS | {"api_requests": ((3, 60),), "api_refused_visitor": ((2, 60),)}
    crm, other = System(READ), System(READ)
    left = [crm.get("customers").headers["RateLimit"] for _ in range(3)]
    assert [one.partition(";t=")[0] for one in left] == ['"key";r=2', '"key";r=1', '"key";r=0']
    answer = crm.get("customers")
    assert check(f"{BASE}customers", answer)["code"] == "too_many"
    assert 15 <= int(answer.headers["Retry-After"]) <= 20
    assert other.get("customers").status_code == 200
    statuses = [Client().get(f"{BASE}customers").status_code for _ in range(3)]
    assert statuses == [401, 401, 429]
    assert other.get("customers").status_code == 200  # whoever is refused at that address, a valid key goes on


def test_a_network_that_is_refused_too_often_waits_whatever_its_address(settings: Any) -> None:
    settings.LIMIT_NETWORK_FACTOR, settings.LIMITS = 1, settings.LIMITS | {"api_refused_visitor": ((2, 60),)}
    clients = [Client(REMOTE_ADDR=f"192.0.2.{one}") for one in (1, 1, 2, 3)]
    assert [one.get(f"{BASE}customers").status_code for one in clients] == [401, 401, 429, 429]
    assert Client(REMOTE_ADDR="198.51.100.1").get(f"{BASE}customers").status_code == 401


@pytest.mark.mutant
def test_mutant_without_the_limit_a_key_asks_without_end(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.LIMITS = settings.LIMITS | {"api_requests": ((3, 60),)}
    monkeypatch.setattr(limits, "allow", lambda **_subjects: True)
    crm = System(READ)
    assert {crm.get("customers").status_code for _ in range(6)} == {200}


def test_who_has_an_answer_is_told_that_it_still_holds() -> None:
    profile, crm = house.person(), System(READ)
    path = f"customers/{profile.pk}"
    etag = crm.get(path).headers["ETag"]
    for known in (etag, f'"other", W/{etag}', "*"):
        again = crm.get(path, headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", etag)
    profile.access_state = "suspended"
    profile.save()
    assert crm.get(path, headers={"If-None-Match": etag}).status_code == 200


def test_after_a_restore_nothing_is_told_until_it_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restores, "is_closed", lambda: True)
    answer = System(READ).get("customers")
    assert check(f"{BASE}customers", answer)["code"] == "checking"


def test_all_customers_are_listed_in_pages() -> None:
    people, crm = [one.pk for one in house.people(5)], System(READ)
    found, after = [], 0
    while after is not None:
        page = crm.read("customers", after=after, limit=2)
        found += [one["id"] for one in page["customers"]]
        after = page["after"]
    assert found == people


def test_what_a_customer_has_costs_no_more_queries(world: World) -> None:
    dana, crm = world.subscriber("dana"), System(READ, PERSONAL)
    many = world.subscriber("many", plus=1, storage_100=3)

    def count(path: str, **query: str | int) -> int:
        with CaptureQueriesContext(connection) as seen:
            crm.read(path, template="customers/{id}" if "/" in path else "", **query)
        return len([one for one in seen.captured_queries if "SAVEPOINT" not in one["sql"]])

    count("customers")  # the use of the key is noted
    assert count(f"customers/{dana.pk}") == count(f"customers/{many.pk}") <= 24
    assert count("customers", limit=1) == count("customers") == 4


def test_the_document_is_valid_and_has_the_words_of_the_code() -> None:
    schemathesis.openapi.from_dict(DOCUMENT).validate()
    schemas = DOCUMENT["components"]["schemas"]
    assert schemas["State"]["enum"] == [one.value for one in AccessState]
    assert schemas["Reason"]["properties"]["code"]["enum"] == [one.value for one in ReasonCode]
    assert schemas["Next"]["properties"]["change"]["enum"] == [one.value for one in Change]
    shown = [one.value for one in Seat.State if one != Seat.State.RELEASED]
    assert schemas["Seat"]["properties"]["state"]["enum"] == shown
    assert DOCUMENT["paths"].keys() == {
        f"{BASE}{one}" for one in ("customers", "customers/{id}", "customers/{id}/history", "changes")
    }
    served: Any = Client().get(f"{BASE}openapi.json")
    assert served.json() == DOCUMENT
    assert Client().get(f"{BASE}openapi.json", headers={"If-None-Match": served.headers["ETag"]}).status_code == 304
    assert f"{BASE}openapi.json" == problems.DOCUMENT
    assert DOCUMENT["paths"][f"{BASE}changes"]["get"]["parameters"][1]["schema"]["maximum"] == views.MOST


def test_the_checks_see_a_wrong_answer() -> None:
    """A field too many, a field too few and another word would be noticed."""
    crm = System(READ)
    house.person()
    answer = crm.get("customers")
    said = json.loads(answer.content)
    for change in ({"secret": 1}, {"state": "weird"}, {"id": "1"}, {"erased": None}):
        answer.content = json.dumps(said | {"customers": [said["customers"][0] | change]}).encode()
        with pytest.raises(Exception, match="Failed validating"):
            check(f"{BASE}customers", answer)
