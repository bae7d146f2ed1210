"""The control API, the fault switches and the pages of the sandbox."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from keycloak.exceptions import KeycloakConnectionError, KeycloakError

from tests.sandbox.keycloak_fixture import Standin


@pytest.mark.parametrize(
    ("name", "wish", "words"),
    [
        ("clock", {}, "advance_seconds"),
        ("clock", {"advance_seconds": -1}, "only moves forward"),
        ("clock", {"advance_seconds": "soon"}, "whole number"),
        ("clock", {"advance_seconds": True}, "whole number"),
        ("clock", {"advance_seconds": 10**12}, "whole number"),
        ("faults", {}, "peer must be one of stripe, keycloak, mailgun, nextcloud, immich, receiver"),
        ("faults", {"peer": "moon", "mode": "ok"}, "peer must be one of"),
        ("faults", {"peer": ["stripe"], "mode": "ok"}, "peer must be one of"),
        ("faults", {"peer": "mailgun", "mode": "put_wipes"}, "mode for mailgun must be one of ok"),
        ("faults", {"peer": "keycloak", "mode": "explode"}, "lost_update"),
        ("faults", {"peer": "keycloak", "mode": "down", "every": 0}, "every must be"),
        ("faults", {"peer": "keycloak", "mode": "down", "delay_ms": "x"}, "delay_ms must be"),
        ("faults", {"peer": "keycloak", "mode": "down", "path": 1}, "path must be"),
        ("webhooks", {"mode": "sideways"}, "deliver, hold, drop, duplicate, shuffle"),
    ],
)
def test_a_wish_that_is_not_understood_is_answered_with_a_sentence(
    standin: Standin, name: str, wish: dict[str, Any], words: str
) -> None:
    answer = standin.control(name, **wish)
    assert answer.status_code == 400
    assert words in answer.json()["error"]


@pytest.mark.parametrize("body", ["{", "[]", "7", '"x"', "\x00"])
def test_a_body_that_is_no_object_is_refused(standin: Standin, body: str) -> None:
    for name in ("clock", "faults", "webhooks"):
        answer = requests.post(f"{standin.url}/control/{name}", data=body.encode(), timeout=10)
        assert answer.status_code == 400
        assert "JSON" in answer.json()["error"]


def test_the_wrong_method_is_told_the_right_one(standin: Standin) -> None:
    answer = requests.get(f"{standin.url}/control/reset", timeout=10)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


def test_the_clock_moves_on_and_a_reset_brings_it_back(standin: Standin) -> None:
    before = requests.get(f"{standin.url}/control/clock", timeout=10).json()["now"]
    moved = standin.control("clock", advance_seconds=86_400).json()["now"]
    assert 86_400 <= moved - before <= 86_430
    standin.new_user()
    standin.control("reset")
    now = requests.get(f"{standin.url}/control/clock", timeout=10).json()
    assert (abs(now["now"] - before) < 30, now["offset_seconds"]) == (True, 0)
    assert standin.admin().get_users({"username": "nora"}) == []


class TestFaults:
    """The switches every peer has."""

    def test_a_peer_that_is_down_cuts_every_connection(self, standin: Standin) -> None:
        standin.fault("down")
        with pytest.raises(KeycloakConnectionError):
            standin.admin().get_users({"max": 1})
        standin.fault("ok")
        assert standin.admin().get_users({"max": 1})

    def test_a_lost_answer_has_done_its_work(self, standin: Standin) -> None:
        admin = standin.admin()
        admin.get_users({"max": 1})
        standin.fault("lost_answer", times=1)
        with pytest.raises(KeycloakConnectionError):
            admin.create_user({"username": "nora.new", "groups": ["/frontdesk"]})
        with pytest.raises(KeycloakError) as caught:
            admin.create_user({"username": "nora.new", "groups": ["/frontdesk"]})
        assert caught.value.response_code == 409

    def test_500_after_commit_has_done_its_work(self, standin: Standin) -> None:
        standin.fault("500_after_commit", times=1)
        answer = standin.call("POST", "/users", json={"username": "nora.new"})
        assert answer.status_code == 500
        assert standin.admin().get_user_id("nora.new")

    @pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
    def test_statuses_are_answered_in_the_peers_shape(self, standin: Standin, status: int) -> None:
        headers = standin.bearer()
        standin.fault(f"http_{status}")
        answer = standin.call("GET", "/users", headers=headers)
        assert answer.status_code == status
        assert "error" in answer.json()

    def test_the_token_endpoint_stays_whole_under_admin_faults(self, standin: Standin) -> None:
        standin.fault("http_401")
        assert standin.token().status_code == 200

    def test_every_list_is_empty(self, standin: Standin) -> None:
        standin.fault("empty_list")
        assert standin.admin().get_users({"username": "admin.ada"}) == []
        assert standin.call("GET", "/groups").json() == []

    def test_each_third_request_is_touched(self, standin: Standin) -> None:
        headers = standin.bearer()
        standin.fault("http_500", every=3, path="/users")
        got = [standin.call("GET", "/users", headers=headers).status_code for _ in range(6)]
        assert got == [200, 200, 500, 200, 200, 500]

    def test_a_path_and_a_method_narrow_it_down(self, standin: Standin) -> None:
        standin.fault("http_403", path="/groups", method="post")
        assert standin.call("GET", "/groups").status_code == 200
        assert standin.call("POST", "/groups", json={"name": "x"}).status_code == 403
        assert standin.call("GET", "/users").status_code == 200

    def test_a_slow_peer_does_not_slow_the_others(self, standin: Standin) -> None:
        headers = standin.bearer()
        standin.fault("slow", delay_ms=3_000)
        with ThreadPoolExecutor() as pool:
            slow = pool.submit(standin.call, "GET", "/users", headers=headers)
            begun = time.monotonic()
            requests.get(f"{standin.url}/inbox.json", timeout=30)
            assert not slow.done()
            assert slow.result().status_code == 200
            assert time.monotonic() - begun >= 2.9

    def test_the_switches_can_be_read(self, standin: Standin) -> None:
        standin.fault("http_500", every=2)
        shown = requests.get(f"{standin.url}/control/faults", timeout=10).json()
        assert shown["faults"]["keycloak"]["every"] == 2
        assert "put_wipes" in shown["modes"]["keycloak"]


class TestPages:
    """What a person sees."""

    def page(self, standin: Standin, path: str) -> requests.Response:
        return requests.get(f"{standin.url}{path}", timeout=10)

    def test_the_overview_shows_people_and_switches(self, standin: Standin) -> None:
        standin.new_user(attributes={"has_nextcloud": ["true"]}, groups=["/frontdesk/nextcloud-1"])
        text = self.page(standin, "/").text
        for shown in ("nora.new", "has_nextcloud = true", "/frontdesk/nextcloud-1", "SANDBOX"):
            assert shown in text
        assert not re.search(r"<script|style=|onclick", text)

    def test_its_forms_do_what_the_control_api_does(self, standin: Standin) -> None:
        url = f"{standin.url}/control/clock"
        answer = requests.post(url, data={"advance_seconds": "3600"}, timeout=10)
        assert "The clock was moved." in answer.text
        bad = requests.post(url, data={"advance_seconds": "later"}, timeout=10)
        assert (bad.status_code, "whole number" in bad.text) == (400, True)

    def test_the_inbox_shows_a_mail_and_frames_its_html_safely(self, standin: Standin) -> None:
        fields = {
            "from": "Desk <desk@example.com>",
            "to": "nora@example.com",
            "subject": "<b>Hello</b>",
            "text": "See https://example.com/a",
            "html": "<script>alert(1)</script><p>Hi</p>",
        }
        requests.post(f"{standin.url}/mailgun/v3/d/messages", data=fields, auth=("api", "k"), timeout=10)
        mail_id = standin.inbox()[0]["id"]
        assert "&lt;b&gt;Hello" in self.page(standin, "/inbox/").text
        shown = self.page(standin, f"/inbox/{mail_id}/").text
        assert 'href="https://example.com/a"' in shown
        assert "alert(1)" not in shown
        frame = self.page(standin, f"/inbox/{mail_id}/html")
        assert "sandbox" in frame.headers["Content-Security-Policy"]
        assert "script-src" not in frame.headers["Content-Security-Policy"]
        assert self.page(standin, "/inbox/unknown/").status_code == 404

    def test_the_inbox_can_be_emptied(self, standin: Standin) -> None:
        ada = standin.admin().get_user_id("admin.ada")
        standin.call("PUT", f"/users/{ada}/send-verify-email")
        assert standin.inbox("ADMIN.ada@")
        assert standin.inbox("somebody@") == []
        assert requests.delete(f"{standin.url}/inbox.json", timeout=10).json() == {"cleared": 1}
        assert standin.inbox() == []

    def test_files_are_served_and_nothing_outside_their_folder(self, standin: Standin) -> None:
        css = self.page(standin, "/static/sandbox/sandbox.css")
        assert (css.status_code, css.headers["Content-Type"]) == (200, "text/css")
        for path in ("/static/..%2fsettings.py", "/static/sandbox/nope.css", "/static/%00"):
            assert self.page(standin, path).status_code == 404
