"""The Admin API of the Keycloak stand-in, held to the answers a real Keycloak 26.7.3 gave."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from keycloak.exceptions import KeycloakError

from tests.sandbox.keycloak_fixture import APP, Browser, Standin, standin, standin_process

__all__ = ["standin", "standin_process"]

ADA = "admin.ada@example.com"


def refusal(caught: pytest.ExceptionInfo[KeycloakError]) -> tuple[int, bytes]:
    return caught.value.response_code, caught.value.response_body


def test_it_lower_cases_names_and_answers_with_the_new_address(standin: Standin) -> None:
    user_id = standin.admin().create_user({"username": "LOUD.Lou", "email": "LOUD@Example.COM"})
    user = standin.user(user_id)
    assert (user["username"], user["email"]) == ("loud.lou", "loud@example.com")
    assert user["enabled"] is False


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"username": "ADMIN.ada"}, "User exists with same username"),
        ({"username": "other", "email": ADA.upper()}, "User exists with same email"),
        ({"username": "admin.ada", "email": ADA}, "User exists with same email"),
    ],
)
def test_it_refuses_a_name_or_mail_that_is_taken(standin: Standin, given: dict[str, str], sentence: str) -> None:
    answer = standin.call("POST", "/users", json=given)
    assert (answer.status_code, answer.json()) == (409, {"errorMessage": sentence})


def test_of_eight_who_want_a_name_at_once_one_gets_it(standin: Standin) -> None:
    headers = standin.bearer()

    def create(_: int) -> int:
        given = {"username": "wanted"}
        return standin.call("POST", "/users", json=given, headers=headers).status_code

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(create, range(8))) == [201] + [409] * 7


@pytest.mark.parametrize(
    ("given", "body"),
    [
        ({"email": "a@b.example"}, {"errorMessage": "User name is missing"}),
        ({"username": "  "}, {"errorMessage": "User name is missing"}),
        (
            {"username": "fine", "email": "nonsense"},
            {
                "field": "email",
                "errorMessage": "error-invalid-email",
                "params": ["email", "nonsense"],
            },
        ),
        (
            {"username": "ab"},
            {
                "field": "username",
                "errorMessage": "error-invalid-length",
                "params": ["username", 3, 255],
            },
        ),
        (
            {"username": "abc!!"},
            {
                "field": "username",
                "errorMessage": "error-username-invalid-character",
                "params": ["username"],
            },
        ),
        (
            {"username": "ab", "email": "bad"},
            {
                "errors": [
                    {
                        "field": "username",
                        "errorMessage": "error-invalid-length",
                        "params": ["username", 3, 255],
                    },
                    {
                        "field": "email",
                        "errorMessage": "error-invalid-email",
                        "params": ["email", "bad"],
                    },
                ]
            },
        ),
    ],
)
def test_it_words_bad_values_as_keycloak_does(standin: Standin, given: dict[str, str], body: dict[str, Any]) -> None:
    answer = standin.call("POST", "/users", json=given)
    assert (answer.status_code, answer.json()) == (400, body)


def test_an_unknown_group_path_is_a_server_error_and_makes_no_user(standin: Standin) -> None:
    answer = standin.call("POST", "/users", json={"username": "nora", "groups": ["/nope"]})
    assert answer.status_code == 500
    assert answer.json() == {
        "error": "unknown_error",
        "error_description": "For more on this error consult the server log.",
    }
    assert standin.admin().get_users({"username": "nora"}) == []


@pytest.mark.parametrize(
    "body",
    [
        "{bad",
        "[1]",
        '"a"',
        "",
        "\x00",
        '{"enabled": "x"}',
        '{"nosuch": 1}',
        '{"groups": [1]}',
        '{"requiredActions": [[]]}',
        '{"attributes": []}',
        '{"credentials": "x"}',
        '{"username": {}}',
    ],
)
def test_unreadable_json_is_refused_in_words(standin: Standin, body: str) -> None:
    user_id = standin.new_user()
    headers = standin.bearer() | {"Content-Type": "application/json"}
    answer = standin.call("PUT", f"/users/{user_id}", data=body, headers=headers)
    assert answer.status_code in {400, 500}
    assert "error" in answer.json()


class TestPut:
    """PUT /users/{id}: no PATCH, and attributes take names and e-mail with them."""

    def make(self, standin: Standin) -> str:
        return standin.new_user(
            firstName="Nora",
            lastName="New",
            attributes={"a": ["1"], "empty": [""]},
            requiredActions=["UPDATE_PASSWORD"],
        )

    def test_one_flag_alone_keeps_everything_else(self, standin: Standin) -> None:
        user_id = self.make(standin)
        before = standin.user(user_id)
        assert standin.call("PUT", f"/users/{user_id}", json={"enabled": False}).status_code == 204
        assert standin.user(user_id) == before | {"enabled": False}

    def test_an_empty_value_is_not_stored(self, standin: Standin) -> None:
        assert standin.user(self.make(standin))["attributes"] == {"a": ["1"]}

    def test_attributes_alone_replace_and_remove_names_and_mail(self, standin: Standin) -> None:
        user_id = self.make(standin)
        standin.admin().update_user(user_id, {"attributes": {"b": ["2"]}})
        user = standin.user(user_id)
        assert user["attributes"] == {"b": ["2"]}
        assert not {"email", "firstName", "lastName"} & user.keys()
        assert user["emailVerified"] is True
        assert user["requiredActions"] == ["UPDATE_PASSWORD"]

    def test_groups_in_a_put_are_ignored(self, standin: Standin) -> None:
        user_id = self.make(standin)
        standin.admin().update_user(user_id, {"groups": ["/newsletter"]})
        assert standin.admin().get_user_groups(user_id) == []

    def test_a_taken_mail_and_another_username_are_refused(self, standin: Standin) -> None:
        user_id = self.make(standin)
        answer = standin.call("PUT", f"/users/{user_id}", json={"email": ADA})
        assert answer.json() == {"errorMessage": "User exists with same email"}
        answer = standin.call("PUT", f"/users/{user_id}", json={"username": "other"})
        assert (answer.status_code, answer.json()["errorMessage"]) == (
            400,
            "error-user-attribute-read-only",
        )

    def test_there_is_no_patch(self, standin: Standin) -> None:
        answer = standin.call("PATCH", f"/users/{self.make(standin)}", json={})
        assert (answer.status_code, answer.json()) == (
            405,
            {"error": "HTTP 405 Method Not Allowed"},
        )

    def test_undeclared_attributes_are_dropped_once_the_policy_is_gone(self, standin: Standin) -> None:
        profile = standin.call("GET", "/users/profile").json()
        del profile["unmanagedAttributePolicy"]
        grant = {"grant_type": "password", "client_id": "admin-cli"}
        master = standin.oidc.replace("/frontdesk/", "/master/")
        token = standin.token(username="admin", password="admin", **grant)
        assert token.status_code != 200
        root = Standin(standin.url)
        root.oidc = master
        token = root.token(username="admin", password="admin", **grant)
        headers = {"Authorization": f"Bearer {token.json()['access_token']}"}
        answer = standin.call("PUT", "/users/profile", json=profile, headers=headers)
        assert answer.status_code == 200
        user_id = standin.new_user(attributes={"has_x": ["true"], "onboarding_id": ["o1"]})
        assert standin.user(user_id)["attributes"] == {"onboarding_id": ["o1"]}


def test_ids_are_the_same_after_a_reset_but_new_after_a_deletion(standin: Standin) -> None:
    first = standin.new_user()
    standin.call("DELETE", f"/users/{first}")
    assert standin.new_user() != first
    standin.control("reset")
    assert standin.new_user() == first


class TestSearch:
    """GET /users."""

    def names(self, standin: Standin, **query: Any) -> list[str]:
        rows = standin.call("GET", "/users", params=query).json()
        return [row["username"] for row in rows]

    def test_username_contains_unless_exact_in_any_case(self, standin: Standin) -> None:
        assert self.names(standin, username="ADA") == ["admin.ada"]
        assert self.names(standin, username="ada", exact="True") == []
        assert self.names(standin, username="admin.ada", exact="true") == ["admin.ada"]

    def test_service_accounts_appear_only_in_field_searches(self, standin: Standin) -> None:
        assert len(self.names(standin, username="service")) == 2
        assert self.names(standin, search="service") == []
        assert self.names(standin) == ["admin.ada", "stranger.stan", "support.sam"]

    def test_search_is_a_prefix_stars_are_anywhere_quotes_exact(self, standin: Standin) -> None:
        assert self.names(standin, search="sup") == ["support.sam"]
        assert self.names(standin, search="upport") == []
        assert self.names(standin, search="*upport*") == ["support.sam"]
        assert self.names(standin, search='"ada"') == ["admin.ada"]
        assert self.names(standin, search="sup", email="nobody") == ["support.sam"]

    def test_attributes_ids_and_pages(self, standin: Standin) -> None:
        assert self.names(standin, q="favourite_colour:green") == ["stranger.stan"]
        assert self.names(standin, q="favourite_colour:red") == []
        stan = standin.admin().get_user_id("stranger.stan")
        assert self.names(standin, search=f"id:{stan}") == ["stranger.stan"]
        assert self.names(standin, first=1, max=1) == ["stranger.stan"]
        assert standin.call("GET", "/users", params={"max": "x"}).status_code == 404

    def test_brief_rows_lack_attributes_and_actions(self, standin: Standin) -> None:
        query = {"username": "stan", "briefRepresentation": "True"}
        row = standin.call("GET", "/users", params=query).json()[0]
        assert not {"attributes", "totp", "requiredActions", "notBefore"} & row.keys()


class TestGroups:
    """Groups and membership."""

    def test_only_the_top_is_listed_and_children_are_paged(self, standin: Standin) -> None:
        top = standin.call("GET", "/groups").json()
        assert [(row["name"], row["subGroupCount"]) for row in top] == [
            ("frontdesk", 3),
            ("newsletter", 0),
            ("staff", 4),
        ]
        assert all(row["subGroups"] == [] for row in top)
        below = standin.call("GET", f"/groups/{top[0]['id']}/children").json()
        assert [row["path"] for row in below][:1] == ["/frontdesk/nextcloud-1"]
        assert below[0]["attributes"] == {}

    def test_a_group_is_found_by_path(self, standin: Standin) -> None:
        group = standin.admin().get_group_by_path("/frontdesk/nextcloud-1")
        assert (group["path"], "access" in group) == ("/frontdesk/nextcloud-1", False)
        with pytest.raises(KeycloakError) as caught:
            standin.admin().get_group_by_path("/frontdesk/nope")
        assert refusal(caught) == (404, b'{"error": "Group path does not exist"}')

    def test_joining_and_leaving_may_be_repeated(self, standin: Standin) -> None:
        admin, user_id = standin.admin(), standin.new_user()
        group_id = admin.get_group_by_path("/frontdesk/nextcloud-2")["id"]
        for _ in range(2):
            admin.group_user_add(user_id, group_id)
        assert [row["path"] for row in admin.get_user_groups(user_id)] == ["/frontdesk/nextcloud-2"]
        assert [row["id"] for row in admin.get_group_members(group_id)] == [user_id]
        for _ in range(2):
            admin.group_user_remove(user_id, group_id)
        assert admin.get_user_groups(user_id) == []
        answer = standin.call("PUT", f"/users/{user_id}/groups/unknown")
        assert (answer.status_code, answer.json()) == (404, {"error": "Group not found"})

    def test_a_child_is_answered_with_itself_and_a_second_one_refused(self, standin: Standin) -> None:
        parent = standin.call("GET", "/group-by-path/frontdesk").json()["id"]
        made = standin.call("POST", f"/groups/{parent}/children", json={"name": "x"})
        assert (made.status_code, made.json()["path"]) == (201, "/frontdesk/x")
        assert made.headers["Location"].endswith(made.json()["id"])
        again = standin.call("POST", f"/groups/{parent}/children", json={"name": "x"})
        assert again.status_code == 409
        assert again.json() == {"errorMessage": "Sibling group named 'x' already exists."}

    def test_a_top_group_is_answered_with_nothing(self, standin: Standin) -> None:
        made = standin.call("POST", "/groups", json={"name": "x"})
        assert (made.status_code, made.text) == (201, "")
        again = standin.call("POST", "/groups", json={"name": "x"})
        assert again.json() == {"errorMessage": "Top level group named 'x' already exists."}
        assert standin.call("POST", "/groups", json={}).status_code == 400


class TestMails:
    """execute-actions-email, send-verify-email."""

    def send(self, standin: Standin, user_id: str, actions: list[str], **query: Any) -> Any:
        path = f"/users/{user_id}/execute-actions-email"
        return standin.call("PUT", path, json=actions, params=query)

    def test_the_mail_reaches_the_inbox_with_its_link(self, standin: Standin) -> None:
        user_id = standin.new_user()
        standin.admin().send_update_account(
            user_id,
            ["UPDATE_PASSWORD"],
            client_id="frontdesk-web",
            lifespan=259_200,
            redirect_uri=f"{APP}/accounts/welcome/",
        )
        mail = standin.inbox("nora.new@")[0]
        assert (mail["subject"], mail["source"]) == ("Update Your Account", "keycloak")
        assert "within 3 days" in mail["text"]
        assert "/realms/frontdesk/login-actions/action-token?key=" in mail["links"][0]

    @pytest.mark.parametrize(
        ("query", "sentence"),
        [
            ({"client_id": "nope"}, "Client doesn't exist"),
            ({"redirect_uri": "http://x/"}, "Client id missing"),
            (
                {"client_id": "frontdesk-web", "redirect_uri": "http://evil.example/"},
                "Invalid redirect uri.",
            ),
        ],
    )
    def test_it_refuses_a_wrong_target(self, standin: Standin, query: dict[str, str], sentence: str) -> None:
        answer = self.send(standin, standin.new_user(), ["UPDATE_PASSWORD"], **query)
        assert (answer.status_code, answer.json()) == (400, {"errorMessage": sentence})
        assert standin.inbox() == []

    def test_it_refuses_wrong_actions_and_lifespans_and_people_without_mail(self, standin: Standin) -> None:
        user_id = standin.new_user()
        answer = self.send(standin, user_id, ["NOPE"])
        assert answer.json() == {"errorMessage": "Provided invalid required actions"}
        answer = self.send(standin, user_id, ["UPDATE_PASSWORD"], lifespan="3.5")
        assert (answer.status_code, answer.json()) == (404, {"error": "HTTP 404 Not Found"})
        standin.call("PUT", f"/users/{user_id}", json={"enabled": False})
        answer = self.send(standin, user_id, ["UPDATE_PASSWORD"])
        assert answer.json() == {"errorMessage": "User is disabled"}
        nobody = standin.new_user("nomail", email="")
        answer = self.send(standin, nobody, ["UPDATE_PASSWORD"])
        assert answer.json() == {"errorMessage": "User email missing"}

    def test_a_broken_mail_server_is_said_so(self, standin: Standin) -> None:
        user_id = standin.new_user()
        standin.fault("mail_fails")
        answer = self.send(standin, user_id, ["UPDATE_PASSWORD"])
        assert answer.status_code == 500
        assert answer.json()["errorMessage"].startswith("Failed to send execute actions email: ")
        answer = standin.call("PUT", f"/users/{user_id}/send-verify-email")
        assert answer.json() == {"errorMessage": "Failed to send verify email"}
        assert standin.inbox() == []


def test_reset_password_holds_the_policy(standin: Standin) -> None:
    user_id = standin.new_user()

    def put(**given: Any) -> Any:
        return standin.call("PUT", f"/users/{user_id}/reset-password", json=given)

    short = put(type="password", value="short")
    assert (short.status_code, short.json()) == (
        400,
        {
            "error": "invalidPasswordMinLengthMessage",
            "error_description": "Invalid password: minimum length 12.",
        },
    )
    assert put().json() == {"error": "No password provided"}
    assert put(value="a long enough one", temporary=True).status_code == 204
    assert standin.user(user_id)["requiredActions"] == ["UPDATE_PASSWORD"]
    assert put(value="a long enough one").json()["error"] == "invalidPasswordHistoryMessage"
    assert put(value="another long enough one").status_code == 204
    assert standin.user(user_id)["requiredActions"] == []


def test_deleting_and_unknown_users(standin: Standin) -> None:
    user_id = standin.new_user()
    assert standin.call("DELETE", f"/users/{user_id}").status_code == 204
    for method in ("GET", "PUT", "DELETE"):
        answer = standin.call(method, f"/users/{user_id}", json={})
        assert (answer.status_code, answer.json()) == (404, {"error": "User not found"})


class TestRights:
    """Who may do what."""

    def test_without_a_good_token_nothing_is_answered(self, standin: Standin) -> None:
        old = standin.bearer()
        standin.control("clock", advance_seconds=301)
        for headers in ({}, {"Authorization": "Bearer x.y.z"}, {"Authorization": "Basic x"}, old):
            answer = standin.call("GET", "/users", headers=headers)
            assert (answer.status_code, answer.json()) == (401, {"error": "HTTP 401 Unauthorized"})

    def test_python_keycloak_takes_a_new_token_when_the_old_ran_out(self, standin: Standin) -> None:
        admin = standin.admin()
        assert admin.get_user_id("admin.ada")
        standin.control("clock", advance_seconds=400)
        assert admin.get_user_id("admin.ada")

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "/clients"),
            ("GET", "/roles"),
            ("GET", "/client-scopes"),
            ("GET", "/components"),
            ("GET", "/keys"),
            ("GET", "/authentication/flows"),
            ("GET", "/identity-provider/instances"),
            ("GET", "/events"),
            ("GET", "/admin-events"),
            ("PUT", ""),
            ("DELETE", ""),
            ("POST", "/clients"),
            ("POST", "/push-revocation"),
            ("PUT", "/users/profile"),
            ("POST", "/users/{ada}/impersonation"),
            ("POST", "/users/{ada}/role-mappings/clients/x"),
        ],
    )
    def test_the_sync_account_may_not_leave_its_field(self, standin: Standin, method: str, path: str) -> None:
        ada = standin.admin().get_user_id("admin.ada")
        answer = standin.call(method, path.format(ada=ada), json={})
        assert (answer.status_code, answer.json()) == (403, {"error": "HTTP 403 Forbidden"})

    def test_the_doctor_reads_and_may_not_write(self, standin: Standin) -> None:
        user_id, doctor = standin.new_user(), {"client": "frontdesk-doctor"}
        assert standin.call("GET", f"/users/{user_id}", **doctor).status_code == 200
        assert standin.call("GET", "/clients?clientId=frontdesk-web", **doctor).json()[0]["id"]
        assert standin.call("GET", "", **doctor).json()["passwordPolicy"].startswith("length(12)")
        assert standin.call("GET", "/users/profile", **doctor).status_code == 200
        for method, path in (("PUT", f"/users/{user_id}"), ("POST", "/groups"), ("POST", "/users")):
            assert standin.call(method, path, json={}, **doctor).status_code == 403

    def test_a_persons_token_is_no_administrators(self, standin: Standin) -> None:
        token = standin.log_in(Browser(), "admin.ada")["access_token"]
        answer = standin.call("GET", "/users", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 403

    def test_the_realm_shows_the_sync_account_six_fields(self, standin: Standin) -> None:
        shown = standin.call("GET", "").json()
        assert len(shown) == 6
        assert shown["realm"] == "frontdesk"

    def test_logout_all_voids_our_own_token_too(self, standin: Standin) -> None:
        headers = standin.bearer()
        assert standin.call("POST", "/logout-all", headers=headers).status_code == 200
        assert standin.call("GET", "/users", headers=headers).status_code == 401
        assert standin.call("GET", "/users").status_code == 200


class TestWriteFaults:
    """What Keycloak's writing can do wrong, on demand."""

    def put(self, standin: Standin, mode: str) -> dict[str, list[str]]:
        user_id = standin.new_user(attributes={"kept": ["k"], "changed": ["old"]})
        standin.fault(mode)
        user = standin.user(user_id)
        user["attributes"] |= {"changed": ["new"]}
        assert standin.call("PUT", f"/users/{user_id}", json=user).status_code == 204
        shown: dict[str, list[str]] = standin.user(user_id).get("attributes", {})
        return shown

    def test_attributes_are_dropped(self, standin: Standin) -> None:
        assert self.put(standin, "drop_attributes") == {"kept": ["k"]}

    def test_a_put_wipes_the_others(self, standin: Standin) -> None:
        assert self.put(standin, "put_wipes") == {"changed": ["new"]}

    def test_an_update_is_lost(self, standin: Standin) -> None:
        assert self.put(standin, "lost_update") == {"kept": ["k"], "changed": ["old"]}

    def test_values_are_doubled(self, standin: Standin) -> None:
        assert self.put(standin, "doubled_values") == {"kept": ["k"], "changed": ["old", "new"]}
