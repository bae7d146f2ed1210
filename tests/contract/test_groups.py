"""Groups and membership: the Admin API's answers, row by row."""

from typing import Any

from tests.contract.servers import Server

UNKNOWN = "00000000-0000-4000-8000-000000000000"


class TestTree:
    """GET /groups, /groups/{id}, /groups/{id}/children, /group-by-path."""

    def test_only_the_top_is_listed(self, server: Server) -> None:
        top = {row["name"]: row for row in server.call("GET", "/groups").json()}
        assert {"frontdesk", "newsletter", "staff"} <= top.keys()
        assert (top["staff"]["subGroups"], top["staff"]["subGroupCount"]) == ([], 4)
        assert "attributes" not in top["staff"]  # brief by default

    def test_children_are_listed_in_full(self, server: Server) -> None:
        below = server.call("GET", f"/groups/{server.group_id('/staff')}/children").json()
        assert [row["path"] for row in below] == ["/staff/admin", "/staff/operator", "/staff/support", "/staff/viewer"]
        assert (below[0]["attributes"], below[0]["realmRoles"]) == ({}, [])

    def test_children_in_pages(self, server: Server) -> None:
        path = f"/groups/{server.group_id('/staff')}/children"
        below = server.call("GET", path, params={"first": 1, "max": 2}).json()
        assert [row["name"] for row in below] == ["operator", "support"]

    def test_a_search_fills_in_what_leads_to_it(self, server: Server) -> None:
        found = server.call("GET", "/groups", params={"search": "operator"}).json()
        assert [(row["name"], [below["name"] for below in row["subGroups"]]) for row in found] == [
            ("staff", ["operator"])
        ]

    def test_by_path(self, server: Server) -> None:
        answer = server.call("GET", "/group-by-path/frontdesk/nextcloud-1")
        assert (answer.status_code, answer.json()["path"]) == (200, "/frontdesk/nextcloud-1")
        assert "access" not in answer.json()

    def test_an_unknown_path(self, server: Server) -> None:
        answer = server.call("GET", "/group-by-path/frontdesk/nope")
        assert (answer.status_code, answer.json()) == (404, {"error": "Group path does not exist"})

    def test_by_id_and_an_unknown_id(self, server: Server) -> None:
        group_id = server.group_id("/newsletter")
        assert server.call("GET", f"/groups/{group_id}").json()["path"] == "/newsletter"
        answer = server.call("GET", f"/groups/{UNKNOWN}")
        assert (answer.status_code, answer.json()) == (404, {"error": "Could not find group by id"})


class TestMake:
    """POST /groups, POST /groups/{id}/children."""

    def post(self, server: Server, path: str, name: str) -> Any:
        return server.call("POST", path, json={"name": name})

    def test_at_the_top_and_again(self, server: Server) -> None:
        name = server.name()
        made = self.post(server, "/groups", name)
        assert (made.status_code, made.text) == (201, "")
        group_id = made.headers["Location"].rsplit("/", 1)[-1]
        again = self.post(server, "/groups", name)
        assert (again.status_code, again.json()) == (
            409,
            {"errorMessage": f"Top level group named '{name}' already exists."},
        )
        assert server.call("DELETE", f"/groups/{group_id}").status_code == 204

    def test_below_another_and_again(self, server: Server) -> None:
        name, parent = server.name(), server.group_id("/frontdesk")
        made = self.post(server, f"/groups/{parent}/children", name)
        assert (made.status_code, made.json()["path"]) == (201, f"/frontdesk/{name}")
        assert made.headers["Location"].endswith(made.json()["id"])
        again = self.post(server, f"/groups/{parent}/children", name)
        assert (again.status_code, again.json()) == (
            409,
            {"errorMessage": f"Sibling group named '{name}' already exists."},
        )
        server.call("DELETE", f"/groups/{made.json()['id']}")

    def test_without_a_name(self, server: Server) -> None:
        answer = server.call("POST", "/groups", json={})
        assert (answer.status_code, answer.json()) == (400, {"errorMessage": "Group name is missing"})


class TestMembers:
    """PUT and DELETE /users/{id}/groups/{gid}, and the lists of both sides."""

    def test_joining_and_leaving_may_be_repeated(self, server: Server) -> None:
        user_id, name = server.make()
        group_id = server.group_id("/frontdesk/nextcloud-2")
        path = f"/users/{user_id}/groups/{group_id}"
        for _ in range(2):
            answer = server.call("PUT", path)
            assert (answer.status_code, answer.text) == (204, "")
        assert [row["path"] for row in server.call("GET", f"/users/{user_id}/groups").json()] == [
            "/frontdesk/nextcloud-2"
        ]
        assert name in [row["username"] for row in server.call("GET", f"/groups/{group_id}/members").json()]
        for _ in range(2):
            assert server.call("DELETE", path).status_code == 204
        assert server.call("GET", f"/users/{user_id}/groups").json() == []

    def test_an_unknown_group(self, server: Server) -> None:
        user_id, _ = server.make()
        for method in ("PUT", "DELETE"):
            answer = server.call(method, f"/users/{user_id}/groups/{UNKNOWN}")
            assert (answer.status_code, answer.json()) == (404, {"error": "Group not found"})

    def test_an_unknown_user(self, server: Server) -> None:
        group_id = server.group_id("/newsletter")
        answer = server.call("PUT", f"/users/{UNKNOWN}/groups/{group_id}")
        assert (answer.status_code, answer.json()) == (404, {"error": "User not found"})

    def test_a_group_that_was_deleted_takes_its_memberships_along(self, server: Server) -> None:
        user_id, _ = server.make()
        made = server.call(
            "POST", f"/groups/{server.group_id('/frontdesk')}/children", json={"name": server.name()}
        ).json()
        server.call("PUT", f"/users/{user_id}/groups/{made['id']}")
        assert server.call("DELETE", f"/groups/{made['id']}").status_code == 204
        assert server.call("GET", f"/users/{user_id}/groups").json() == []
