"""When Keycloak is unavailable, slow, refuses us, or cannot be trusted."""

import threading
import time

import pytest
from django.db import transaction
from keycloak import KeycloakAdmin

from apps.core import io_guard
from apps.core.errors import DependencyDown, NeedsOperator, RetryLater
from apps.identity import keycloak as module
from apps.identity.protocol import Identity, NewUser
from apps.sandbox.run.servers import free_port
from tests.identity.conftest import newcomer
from tests.sandbox.keycloak_fixture import Browser, Standin


@pytest.mark.parametrize("fault", ["down", "http_503"])
def test_an_unavailable_keycloak_is_a_dependency_down(
    keycloak: Identity, standin: Standin, nora: NewUser, fault: str
) -> None:
    user = keycloak.create_user(nora)
    standin.fault(fault)
    for verb in (
        keycloak.ping,
        lambda: keycloak.get_user(user),
        lambda: keycloak.username_taken("nora"),
        lambda: keycloak.create_user(newcomer("other")),
        lambda: keycloak.update_user(user, enabled=False),
        lambda: keycloak.end_sessions(user),
        lambda: keycloak.join_group(user, "/frontdesk/nextcloud-1"),
    ):
        with pytest.raises(DependencyDown) as down:
            verb()
        assert down.value.dependency == "keycloak"
    standin.fault("ok")
    keycloak.ping()


def test_a_refused_connection_is_a_dependency_down(keycloak: Identity, settings: object) -> None:
    settings.KEYCLOAK_SERVER_URL = f"http://127.0.0.1:{free_port()}/keycloak"
    module._client.cache_clear()
    with pytest.raises(DependencyDown, match="could not be reached"):
        module.client().ping()


def test_an_address_that_is_not_keycloak_does_not_look_like_a_deleted_account(
    keycloak: Identity, standin: Standin, settings: object, nora: NewUser
) -> None:
    user = keycloak.create_user(nora)
    settings.KEYCLOAK_REALM = "nowhere"
    module._client.cache_clear()
    with pytest.raises((DependencyDown, NeedsOperator, RetryLater)):
        module.client().get_user(user)


@pytest.mark.fault("F37")
def test_a_slow_keycloak_is_given_up_after_the_patience(keycloak: Identity, standin: Standin) -> None:
    keycloak.ping()
    module.client(patience=1.0).ping()
    standin.fault("slow", delay_ms=6000, times=2)
    began = time.monotonic()
    with pytest.raises(DependencyDown):
        module.client(patience=1.0).ping()
    assert time.monotonic() - began < 3.5


def test_a_read_survives_one_broken_connection_and_a_write_is_not_repeated(
    keycloak: Identity, standin: Standin, nora: NewUser
) -> None:
    user = keycloak.create_user(nora)
    standin.fault("down", method="GET", times=1)
    assert keycloak.session_count(user) == 0
    standin.fault("lost_answer", method="PUT", path="execute-actions-email", times=1)
    with pytest.raises(RetryLater):
        keycloak.send_password_email(
            user,
            lifespan_seconds=3600,
            redirect_uri="http://localhost:8000/accounts/welcome/",
        )
    assert len(standin.inbox("nora@example.com")) == 1


def test_an_expired_token_is_renewed_once_silently(keycloak: Identity, standin: Standin, nora: NewUser) -> None:
    user = keycloak.create_user(nora)
    standin.fault("http_401", times=1)
    keycloak.update_user(user, first_name="Eleonora")
    found = keycloak.get_user(user)
    assert found is not None
    assert found.first_name == "Eleonora"


def test_a_refused_login_is_tried_later_and_a_missing_right_is_waited_for(keycloak: Identity, standin: Standin) -> None:
    standin.fault("http_401")
    with pytest.raises(RetryLater, match="401"):
        keycloak.ping()
    standin.fault("http_403")
    with pytest.raises(DependencyDown, match="right is missing"):
        keycloak.ping()


@pytest.mark.parametrize("fault", ["http_429", "http_500"])
def test_an_overload_or_a_fault_is_tried_later(keycloak: Identity, standin: Standin, nora: NewUser, fault: str) -> None:
    keycloak.ping()
    standin.fault(fault)
    with pytest.raises(RetryLater):
        keycloak.create_user(nora)


def test_messages_hold_no_address_and_no_name(keycloak: Identity, standin: Standin) -> None:
    with pytest.raises(NeedsOperator) as refused:
        keycloak.create_user(
            NewUser(
                username="quentin",
                email="not an address",
                first_name="Quentin",
                last_name="Quill",
                onboarding_id="x",
            )
        )
    assert "error-invalid-email" in refused.value.reason
    assert "not an address" not in refused.value.reason
    assert "uentin" not in refused.value.reason


# --- availability ------------------------------------------------------------------------------------------------------


def test_availability_is_exact_and_without_regard_to_case(keycloak: Identity) -> None:
    assert keycloak.username_taken("support.sam") is True
    assert keycloak.username_taken("Support.SAM") is True
    assert keycloak.username_taken("support") is False
    assert keycloak.email_taken("Support.Sam@example.com") is True
    assert keycloak.email_taken("sam@example.com") is False


def test_an_empty_answer_is_unknown_when_the_canary_is_not_found(
    keycloak: Identity, standin: Standin, settings: object
) -> None:
    settings.KEYCLOAK_CANARY_USERNAME = "support.sam"
    assert keycloak.username_taken("nobody") is False
    standin.fault("empty_list")
    assert keycloak.username_taken("nobody") is None
    assert keycloak.username_taken("support.sam") is None
    assert keycloak.email_taken("nobody@example.com") is None


def test_it_takes_as_many_calls_for_who_has_an_account_as_for_who_has_none(
    keycloak: Identity, settings: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the time tells everybody whose address has one."""
    settings.KEYCLOAK_CANARY_USERNAME = "support.sam"
    search, calls = KeycloakAdmin.get_users, []
    monkeypatch.setattr(KeycloakAdmin, "get_users", lambda admin, query: calls.append(query) or search(admin, query))
    made = []
    for address in ("support.sam@example.com", "nobody@example.com"):
        calls.clear()
        made.append((keycloak.email_taken(address), len(calls)))
    assert made == [(True, 2), (False, 2)]


def test_a_conflict_while_searches_are_empty_adopts_nobody(keycloak: Identity, standin: Standin, nora: NewUser) -> None:
    keycloak.create_user(nora)
    standin.fault("empty_list")
    with pytest.raises(RetryLater, match="does not find it"):
        keycloak.create_user(nora)


# --- sessions ----------------------------------------------------------------------------------------------------------


def test_disabling_and_ending_sessions_leaves_none_and_no_offline_token(keycloak: Identity, standin: Standin) -> None:
    nina = standin.new_user("nina", groups=["/frontdesk"])
    standin.set_password(nina)
    standin.log_in(Browser(), "nina")
    offline = standin.log_in(Browser(), "nina", scope="openid offline_access")
    assert keycloak.session_count(nina) >= 1
    keycloak.update_user(nina, enabled=False)
    assert keycloak.session_count(nina) >= 1  # Keycloak's own rule: disabling ends nothing
    keycloak.end_sessions(nina)
    assert keycloak.session_count(nina) == 0
    keycloak.update_user(nina, enabled=True)
    again = standin.token("frontdesk-web", grant_type="refresh_token", refresh_token=offline["refresh_token"])
    assert again.status_code == 400


def test_a_logout_that_fails_is_tried_later_and_then_works(keycloak: Identity, standin: Standin) -> None:
    nina = standin.new_user("nina", groups=["/frontdesk"])
    standin.set_password(nina)
    standin.log_in(Browser(), "nina")
    standin.fault("logout_fails")
    with pytest.raises(RetryLater):
        keycloak.end_sessions(nina)
    assert keycloak.session_count(nina) == 1
    standin.fault("ok")
    keycloak.end_sessions(nina)
    assert keycloak.session_count(nina) == 0


# --- the client and its guard ------------------------------------------------------------------------------------------


def test_there_is_one_client_for_all_threads_of_a_process(keycloak: Identity, standin: Standin) -> None:
    seen: list[object] = []
    threads = [
        threading.Thread(target=lambda: seen.append((module.client().ping(), module.client())[1])) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(seen) == {keycloak}
    assert len(seen) == 8


@pytest.mark.django_db
def test_no_call_leaves_while_a_transaction_is_open(keycloak: Identity) -> None:
    keycloak.ping()  # the transaction around a test does not count
    with transaction.atomic(), pytest.raises(io_guard.InsideTransactionError):
        keycloak.ping()
