"""What only the stand-in's Admin API can show: its clock, its switches, its reset. The rest is in tests/contract."""

from tests.sandbox.keycloak_fixture import Standin


def test_ids_are_the_same_after_a_reset_but_new_after_a_deletion(standin: Standin) -> None:
    first = standin.new_user()
    standin.call("DELETE", f"/users/{first}")
    assert standin.new_user() != first
    standin.control("reset")
    assert standin.new_user() == first


def test_a_token_runs_out_on_the_sandbox_clock_and_python_keycloak_takes_a_new_one(standin: Standin) -> None:
    admin, old = standin.admin(), standin.bearer()
    assert admin.get_user_id("admin.ada")
    standin.control("clock", advance_seconds=301)
    assert standin.call("GET", "/users", headers=old).status_code == 401
    assert admin.get_user_id("admin.ada")


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
