"""Creating, reading, changing, deleting and finding people: the Admin API's answers, row by row."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.contract.servers import Server

ADA = "admin.ada@example.com"
SERVER_ERROR = {"error": "unknown_error", "error_description": "For more on this error consult the server log."}


class TestCreate:
    """POST /users."""

    def test_created_with_an_address_and_no_body(self, server: Server) -> None:
        answer = server.call("POST", "/users", json={"username": server.name()})
        assert (answer.status_code, answer.text) == (201, "")
        where = answer.headers["Location"]
        assert where.startswith(f"{server.admin_url}/users/")
        assert server.call("GET", f"/users/{where.rsplit('/', 1)[-1]}").status_code == 200

    def test_capitals_come_back_in_lower_case(self, server: Server) -> None:
        name = server.name()
        user_id, _ = server.make(username=name.upper(), email=f"{name.upper()}@Example.COM")
        user = server.user(user_id)
        assert (user["username"], user["email"]) == (name, f"{name}@example.com")

    def test_not_enabled_unless_said(self, server: Server) -> None:
        answer = server.call("POST", "/users", json={"username": server.name()})
        user = server.user(answer.headers["Location"].rsplit("/", 1)[-1])
        assert (user["enabled"], user["emailVerified"]) == (False, False)

    @pytest.mark.parametrize(
        ("given", "sentence"),
        [
            ({"username": "ADMIN.ada"}, "User exists with same username"),
            ({"username": "ct-other", "email": ADA.upper()}, "User exists with same email"),
            ({"username": "admin.ada", "email": ADA}, "User exists with same email"),
        ],
        ids=["username", "e-mail", "both"],
    )
    def test_taken(self, server: Server, given: dict[str, str], sentence: str) -> None:
        answer = server.call("POST", "/users", json=given)
        assert (answer.status_code, answer.json()) == (409, {"errorMessage": sentence})

    def test_eight_at_once_with_one_name(self, server: Server) -> None:
        name, headers = server.name(), server.bearer()

        def create(_: int) -> int:
            return server.call("POST", "/users", json={"username": name}, headers=headers).status_code

        with ThreadPoolExecutor(8) as pool:
            assert sorted(pool.map(create, range(8))) == [201] + [409] * 7

    @pytest.mark.parametrize(
        ("given", "body"),
        [
            ({"email": "a@b.example"}, {"errorMessage": "User name is missing"}),
            ({"username": "  "}, {"errorMessage": "User name is missing"}),
            (
                {"username": "fine", "email": "nonsense"},
                {"field": "email", "errorMessage": "error-invalid-email", "params": ["email", "nonsense"]},
            ),
            (
                {"username": "ab"},
                {"field": "username", "errorMessage": "error-invalid-length", "params": ["username", 3, 255]},
            ),
            (
                {"username": "abc!!"},
                {"field": "username", "errorMessage": "error-username-invalid-character", "params": ["username"]},
            ),
        ],
        ids=["no username", "blank username", "bad e-mail", "short username", "bad characters"],
    )
    def test_bad_value(self, server: Server, given: dict[str, str], body: dict[str, Any]) -> None:
        answer = server.call("POST", "/users", json=given)
        assert (answer.status_code, answer.json()) == (400, body)

    def test_two_fields_bad(self, server: Server) -> None:
        answer = server.call("POST", "/users", json={"username": "ab", "email": "bad"})
        assert answer.status_code == 400
        assert {(row["field"], row["errorMessage"]) for row in answer.json()["errors"]} == {
            ("username", "error-invalid-length"),
            ("email", "error-invalid-email"),
        }

    def test_groups_by_path(self, server: Server) -> None:
        user_id, _ = server.make(groups=["/frontdesk/nextcloud-1"])
        (group,) = server.call("GET", f"/users/{user_id}/groups").json()
        assert group["path"] == "/frontdesk/nextcloud-1"
        assert not {"attributes", "realmRoles"} & group.keys()  # brief by default

    def test_unknown_group_path_is_a_server_error_and_makes_no_user(self, server: Server) -> None:
        name = server.name()
        answer = server.call("POST", "/users", json={"username": name, "groups": ["/nope"]})
        assert (answer.status_code, answer.json()) == (500, SERVER_ERROR)
        assert server.call("GET", "/users", params={"username": name}).json() == []


UNREADABLE = [
    ("{bad", "invalid_request"),
    ("\x00", "invalid_request"),
    ("[1]", "unknown_error"),
    ('"a"', "unknown_error"),
    ('{"enabled": "x"}', "unknown_error"),
    ('{"requiredActions": [[]]}', "unknown_error"),
    ('{"credentials": "x"}', "unknown_error"),
    ('{"username": {}}', "unknown_error"),
]


class TestJson:
    """What of JSON is read, and how the rest is refused."""

    def send(self, server: Server, method: str, path: str, body: str) -> Any:
        headers = server.bearer() | {"Content-Type": "application/json"}
        return server.call(method, path, data=body, headers=headers)

    @pytest.mark.parametrize(("body", "error"), UNREADABLE)
    def test_unreadable(self, server: Server, body: str, error: str) -> None:
        user_id, _ = server.make()
        for method, path in (("POST", "/users"), ("PUT", f"/users/{user_id}")):
            answer = self.send(server, method, path, body)
            assert (answer.status_code, answer.json()) == (
                400,
                {"error": error, "error_description": "Cannot parse the JSON"},
            )

    def test_a_field_nobody_knows(self, server: Server) -> None:
        answer = self.send(server, "POST", "/users", '{"nosuch": 1}')
        words = 'Invalid json representation for UserRepresentation. Unrecognized field "nosuch" at line 1 column'
        assert (answer.status_code, answer.json()["error"].startswith(words)) == (400, True)

    def test_no_body(self, server: Server) -> None:
        user_id, _ = server.make()
        answer = self.send(server, "POST", "/users", "")
        assert (answer.status_code, answer.json()) == (500, SERVER_ERROR)
        answer = self.send(server, "PUT", f"/users/{user_id}", "")
        assert (answer.status_code, answer.json()) == (400, {"errorMessage": "Could not update user!"})

    def test_what_is_read_though_it_is_odd(self, server: Server) -> None:
        user_id, _ = server.make(attributes={"a": ["1"]})
        for body in ('{"groups": [1]}', '{"requiredActions": ["NOPE"]}', '{"attributes": {"a": "x"}}'):
            assert self.send(server, "PUT", f"/users/{user_id}", body).status_code == 204
        assert (server.user(user_id)["attributes"], server.user(user_id)["requiredActions"]) == ({"a": ["x"]}, [])
        assert self.send(server, "PUT", f"/users/{user_id}", '{"attributes": []}').status_code == 204
        assert "attributes" not in server.user(user_id)


class TestProfile:
    """Section 3: what becomes of attributes."""

    def test_undeclared_attributes_come_back_under_admin_edit(self, server: Server) -> None:
        user_id, _ = server.make(attributes={"has_brandnew": ["true"], "onboarding_id": ["o1"]})
        assert server.user(user_id)["attributes"] == {"has_brandnew": ["true"], "onboarding_id": ["o1"]}

    def test_an_empty_value_is_not_stored(self, server: Server) -> None:
        user_id, _ = server.make(attributes={"a": ["1"], "empty": [""]})
        assert server.user(user_id)["attributes"] == {"a": ["1"]}

    def test_a_value_too_long_for_a_declared_attribute_is_refused(self, server: Server) -> None:
        given = {"username": server.name(), "attributes": {"onboarding_id": ["x" * 65]}}
        answer = server.call("POST", "/users", json=given)
        assert answer.status_code == 400
        assert (answer.json()["field"], answer.json()["errorMessage"]) == (
            "onboarding_id",
            "error-invalid-length-too-long",
        )

    def test_two_values_of_a_declared_attribute_are_refused(self, server: Server) -> None:
        user_id, _ = server.make()
        answer = server.call("PUT", f"/users/{user_id}", json={"attributes": {"has_nextcloud": ["1", "2"]}})
        assert (answer.status_code, answer.json()) == (
            400,
            {
                "field": "has_nextcloud",
                "errorMessage": "error-invalid-multivalued-size",
                "params": ["has_nextcloud", 0, 1],
            },
        )

    def test_ours_are_for_administrators_alone(self, server: Server) -> None:
        profile = server.call("GET", "/users/profile").json()
        ours = {row["name"]: row for row in profile["attributes"] if row["name"].startswith(("has_", "onboarding"))}
        assert {"has_nextcloud", "has_vaultwarden", "onboarding_id"} <= ours.keys()
        for row in ours.values():
            assert row["permissions"] == {"view": ["admin"], "edit": ["admin"]}
        assert profile["unmanagedAttributePolicy"] == "ADMIN_EDIT"

    def test_undeclared_attributes_are_dropped_in_silence_once_the_policy_is_gone(self, server: Server) -> None:
        profile, root = server.call("GET", "/users/profile").json(), server.root()
        strict = {name: value for name, value in profile.items() if name != "unmanagedAttributePolicy"}
        assert server.call("PUT", "/users/profile", json=strict, headers=root).status_code == 200
        try:
            user_id, _ = server.make(attributes={"has_brandnew": ["true"], "onboarding_id": ["o1"]})
            assert server.user(user_id)["attributes"] == {"onboarding_id": ["o1"]}
        finally:
            server.call("PUT", "/users/profile", json=profile, headers=root)
        assert server.call("GET", "/users/profile").json() == profile

    def test_a_person_without_names_is_not_asked_for_them(self, server: Server) -> None:
        profile = server.call("GET", "/users/profile").json()
        required = {row["name"] for row in profile["attributes"] if row.get("required")}
        assert required == {"email"}


class TestRead:
    """GET /users/{id}."""

    def test_an_unknown_id(self, server: Server) -> None:
        answer = server.call("GET", "/users/00000000-0000-4000-8000-000000000000")
        assert (answer.status_code, answer.json()) == (404, {"error": "User not found"})

    def test_the_whole_of_a_person(self, server: Server) -> None:
        user_id, name = server.make(firstName="Nora", lastName="New", attributes={"a": ["1"]})
        user = server.user(user_id)
        assert {"id", "username", "email", "firstName", "lastName", "attributes", "enabled", "requiredActions"} <= (
            user.keys()
        )
        assert (user["id"], user["username"], user["email"]) == (user_id, name, f"{name}@example.com")
        assert "groups" not in user


class TestPut:
    """PUT /users/{id}: no PATCH, and attributes take names and e-mail with them."""

    def make(self, server: Server) -> str:
        return server.make(
            firstName="Nora", lastName="New", attributes={"a": ["1"]}, requiredActions=["UPDATE_PASSWORD"]
        )[0]

    def put(self, server: Server, user_id: str, **given: Any) -> Any:
        return server.call("PUT", f"/users/{user_id}", json=given)

    def test_one_flag_alone_keeps_everything_else(self, server: Server) -> None:
        user_id = self.make(server)
        before = server.user(user_id)
        answer = self.put(server, user_id, enabled=False)
        assert (answer.status_code, answer.text) == (204, "")
        assert server.user(user_id) == before | {"enabled": False}
        assert self.put(server, user_id, enabled=True).status_code == 204
        assert server.user(user_id) == before

    def test_attributes_alone_replace_and_remove_names_and_mail(self, server: Server) -> None:
        user_id = self.make(server)
        assert self.put(server, user_id, attributes={"b": ["2"]}).status_code == 204
        user = server.user(user_id)
        assert user["attributes"] == {"b": ["2"]}
        assert not [name for name in ("email", "firstName", "lastName") if user.get(name)]
        assert user["emailVerified"] is True
        assert user["requiredActions"] == ["UPDATE_PASSWORD"]

    def test_required_actions_replace_when_given_and_stay_when_not(self, server: Server) -> None:
        user_id = self.make(server)
        self.put(server, user_id, requiredActions=["VERIFY_EMAIL"])
        assert server.user(user_id)["requiredActions"] == ["VERIFY_EMAIL"]
        self.put(server, user_id, enabled=True)
        assert server.user(user_id)["requiredActions"] == ["VERIFY_EMAIL"]
        self.put(server, user_id, requiredActions=[])
        assert server.user(user_id)["requiredActions"] == []

    def test_the_whole_with_groups_leaves_groups_alone(self, server: Server) -> None:
        user_id = self.make(server)
        answer = self.put(server, user_id, **server.user(user_id), groups=["/newsletter"])
        assert answer.status_code == 204
        assert server.call("GET", f"/users/{user_id}/groups").json() == []

    def test_a_taken_mail(self, server: Server) -> None:
        answer = self.put(server, self.make(server), email=ADA)
        assert (answer.status_code, answer.json()) == (409, {"errorMessage": "User exists with same email"})

    def test_another_username(self, server: Server) -> None:
        answer = self.put(server, self.make(server), username="ct-another")
        assert (answer.status_code, answer.json()) == (
            400,
            {"field": "username", "errorMessage": "error-user-attribute-read-only", "params": ["username"]},
        )

    def test_an_unknown_id(self, server: Server) -> None:
        answer = self.put(server, "00000000-0000-4000-8000-000000000000", enabled=True)
        assert (answer.status_code, answer.json()) == (404, {"error": "User not found"})

    def test_there_is_no_patch(self, server: Server) -> None:
        answer = server.call("PATCH", f"/users/{self.make(server)}", json={})
        assert (answer.status_code, answer.json()) == (405, {"error": "HTTP 405 Method Not Allowed"})


class TestDelete:
    """DELETE /users/{id}."""

    def test_gone_and_unknown_from_then_on(self, server: Server) -> None:
        user_id, _ = server.make()
        assert server.call("DELETE", f"/users/{user_id}").status_code == 204
        for method in ("GET", "PUT", "DELETE"):
            answer = server.call(method, f"/users/{user_id}", json={})
            assert (answer.status_code, answer.json()) == (404, {"error": "User not found"})


class TestSearch:
    """GET /users."""

    def names(self, server: Server, **query: Any) -> list[str]:
        return [row["username"] for row in server.call("GET", "/users", params=query).json()]

    def test_username_contains_unless_exact_in_any_case(self, server: Server) -> None:
        assert self.names(server, username="N.AD") == ["admin.ada"]
        assert self.names(server, username="n.ad", exact="true") == []
        for yes in ("true", "True"):
            assert self.names(server, username="ADMIN.ada", exact=yes) == ["admin.ada"]

    def test_email_contains_unless_exact(self, server: Server) -> None:
        assert self.names(server, email="n.ada@") == ["admin.ada"]
        assert self.names(server, email="n.ada@", exact="true") == []
        assert self.names(server, email=ADA, exact="true") == ["admin.ada"]

    def test_service_accounts_appear_only_in_field_searches(self, server: Server) -> None:
        found = self.names(server, username="service-account-frontdesk")
        assert found == ["service-account-frontdesk-doctor", "service-account-frontdesk-sync"]
        assert self.names(server, search="service-account-frontdesk") == []

    def test_search_is_a_prefix_stars_are_anywhere_quotes_exact(self, server: Server) -> None:
        assert self.names(server, search="support.s") == ["support.sam"]
        assert self.names(server, search="upport.s") == []
        assert self.names(server, search="*upport.s*") == ["support.sam"]
        assert self.names(server, search='"support.sam"') == ["support.sam"]
        assert self.names(server, search='"support.s"') == []

    def test_with_search_other_filters_but_enabled_are_ignored(self, server: Server) -> None:
        assert self.names(server, search="support.s", email="nobody") == ["support.sam"]
        assert self.names(server, search="support.s", enabled="false") == []
        assert self.names(server, search="support.s", enabled="true") == ["support.sam"]

    def test_by_attribute_and_by_id(self, server: Server) -> None:
        user_id, name = server.make(attributes={"onboarding_id": ["ct-only-this"]})
        assert self.names(server, q="onboarding_id:ct-only-this") == [name]
        assert self.names(server, search=f"id:{user_id}") == [name]
        server.call("DELETE", f"/users/{user_id}")

    def test_several_ids_at_once_whatever_their_number(self, server: Server) -> None:
        made = [server.make(attributes={"a": [str(number)]}) for number in range(3)]
        unknown = "00000000-0000-4000-8000-000000000000"
        asked = " ".join([made[2][0], unknown, made[0][0], *[unknown] * 87])
        answer = server.call(
            "GET", "/users", params={"search": f"id:{asked}", "briefRepresentation": "false", "max": 90}
        )
        found = {row["username"]: row["attributes"]["a"] for row in answer.json()}
        assert found == {made[0][1]: ["0"], made[2][1]: ["2"]}

    def test_pages_of_first_and_max(self, server: Server) -> None:
        name = server.name()
        for number in range(3):
            server.make(username=f"{name}-{number}")
        assert self.names(server, search=name, max=2) == [f"{name}-0", f"{name}-1"]
        assert self.names(server, search=name, first=2, max=2) == [f"{name}-2"]

    def test_a_page_is_a_hundred_unless_said(self, server: Server) -> None:
        name = server.name()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda number: server.make(username=f"{name}-{number}"), range(101)))
        assert len(self.names(server, search=name)) == 100
        assert len(self.names(server, search=name, max=200)) == 101

    def test_brief_rows_lack_the_rest(self, server: Server) -> None:
        _, name = server.make(attributes={"a": ["1"]})
        (brief,) = server.call("GET", "/users", params={"username": name, "briefRepresentation": "true"}).json()
        (full,) = server.call("GET", "/users", params={"username": name}).json()
        assert full["attributes"] == {"a": ["1"]}
        assert not {"attributes", "totp", "requiredActions", "notBefore"} & brief.keys()
        assert {"totp", "requiredActions", "notBefore"} <= full.keys()


class TestPassword:
    """PUT /users/{id}/reset-password."""

    def put(self, server: Server, user_id: str, **given: Any) -> Any:
        return server.call("PUT", f"/users/{user_id}/reset-password", json=given)

    def test_the_policy(self, server: Server) -> None:
        answer = self.put(server, server.make()[0], type="password", value="short")
        assert (answer.status_code, answer.json()) == (
            400,
            {"error": "invalidPasswordMinLengthMessage", "error_description": "Invalid password: minimum length 12."},
        )

    @pytest.mark.parametrize("password", ["qwerty123456", "QWERTY123456", "Frontdesk2026", "Fr0n7d35k-admin!"])
    def test_one_that_everybody_would_guess(self, server: Server, password: str) -> None:
        answer = self.put(server, server.make()[0], type="password", value=password)
        assert (answer.status_code, answer.json()) == (
            400,
            {
                "error": "invalidPasswordBlacklistedMessage",
                "error_description": "Invalid password: password is not allowed.",
            },
        )

    def test_none(self, server: Server) -> None:
        answer = self.put(server, server.make()[0], type="password")
        assert (answer.status_code, answer.json()) == (400, {"error": "No password provided"})

    def test_temporary_adds_the_action_and_permanent_removes_it(self, server: Server) -> None:
        user_id, _ = server.make()
        assert self.put(server, user_id, type="password", value="a long enough one", temporary=True).status_code == 204
        assert server.user(user_id)["requiredActions"] == ["UPDATE_PASSWORD"]
        given = {"type": "password", "value": "another long enough one", "temporary": False}
        assert self.put(server, user_id, **given).status_code == 204
        assert server.user(user_id)["requiredActions"] == []

    def test_a_password_of_before(self, server: Server) -> None:
        user_id, _ = server.make()
        server.set_password(user_id)
        answer = self.put(server, user_id, type="password", value="correct horse battery")
        assert (answer.status_code, answer.json()["error"]) == (400, "invalidPasswordHistoryMessage")
