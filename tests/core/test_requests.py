"""What arrives from outside: bodies, fields and addresses, good, bad and forged."""

import json

import pytest
from django.http import HttpResponse
from django.test import RequestFactory

from apps.core import requests
from apps.core.errors import BadInput

factory = RequestFactory()


def body(raw, **headers):
    return factory.post("/", raw, content_type="application/json", CONTENT_TYPE="application/json", headers=headers)


def refusal(raw, **headers):
    with pytest.raises(BadInput) as caught:
        requests.read_json(body(raw, **headers))
    return caught.value.status, caught.value.code


def test_an_object_is_read():
    assert requests.read_json(body('{"a": [1, {"b": "ü \\ud83d\\ude00"}]}')) == {"a": [1, {"b": "ü 😀"}]}


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "{",
        "nonsense",
        "[]",
        '"text"',
        "12",
        "null",
        "true",
        "[" * 10_000,
        '{"a":' * 3000,
        b"\xff\xfe",
        b"{'a': 1}",
        b'{"a": 1} tail',
    ],
)
def test_what_is_no_json_object_is_refused(raw):
    assert refusal(raw) == (400, "json")


def test_deep_nesting_is_refused():
    fine = bad = 1
    for _ in range(requests.MAX_JSON_DEPTH - 2):
        fine = [fine]
    for _ in range(requests.MAX_JSON_DEPTH):
        bad = [bad]
    assert requests.read_json(body(json.dumps({"a": fine}))) == {"a": fine}
    assert refusal(json.dumps({"a": bad})) == (400, "json")


def test_a_large_body_is_refused_by_what_it_says_and_by_what_it_is():
    assert refusal(json.dumps({"a": "x" * requests.MAX_JSON_BYTES})) == (413, "too_large")
    small = body("{}")
    small.META["CONTENT_LENGTH"] = str(requests.MAX_JSON_BYTES + 1)
    with pytest.raises(BadInput, match="too much"):
        requests.read_json(small)


@pytest.mark.parametrize("length", ["", "abc", "-1", "1e3"])
def test_a_length_that_is_no_number_is_no_error(length):
    request = body('{"a": 1}')
    request.META["CONTENT_LENGTH"] = length
    request._body = b'{"a": 1}'  # what a server that does not look at the header would have read
    assert requests.read_json(request) == {"a": 1}


@pytest.mark.parametrize(
    "raw",
    [r'{"a": "\u0000"}', r'{"a\u0000": 1}', r'{"a": ["\ud800"]}', r'{"a": {"b": "x\u0000y"}}'],
)
def test_text_that_no_database_stores_is_refused(raw):
    assert refusal(raw) == (400, "characters")


def field(value, **rules):
    return requests.text_field({"name": value}, "name", **rules)


def test_a_text_field_is_stripped():
    assert field("  Ada \n") == "Ada"
    assert field("", required=False) == ""
    assert requests.text_field({}, "name", required=False) == ""
    assert field("x" * 200) == "x" * 200


@pytest.mark.parametrize(
    ("value", "code"),
    [("", "required"), ("   ", "required"), ("x" * 201, "too_long")],
)
def test_a_text_field_is_refused_with_its_name(value, code):
    with pytest.raises(BadInput) as caught:
        field(value)
    assert (caught.value.field, caught.value.code, caught.value.status) == ("name", code, 400)


@pytest.mark.parametrize("value", [None, 1, 1.5, True, [], {}, ["a"]])
def test_a_field_that_is_no_text_is_refused(value):
    with pytest.raises(BadInput) as caught:
        field(value)
    assert (caught.value.field, caught.value.status) == ("name", 400)


def test_a_missing_field_is_refused():
    with pytest.raises(BadInput, match="fill this in"):
        requests.text_field({}, "name")


@requests.json_api
def echo(request, given):
    if "secret" in given:
        raise BadInput("No.", field="secret", code="no", status=403)
    return given


def test_an_api_answers_json_or_says_in_json_what_is_wrong():
    answer = echo(body('{"a": 1}'))
    assert (answer.status_code, json.loads(answer.content)) == (200, {"a": 1})
    answer = echo(body('{"secret": 1}'))
    assert answer.status_code == 403
    assert json.loads(answer.content) == {"error": {"message": "No.", "field": "secret", "code": "no"}}
    answer = echo(body("nonsense"))
    assert (answer.status_code, json.loads(answer.content)["error"]["code"]) == (400, "json")


def test_a_form_sent_to_an_api_is_refused_after_its_csrf_check_too():
    """Django has read a form of several parts by then, and nobody can read it again."""
    for kind in ("multipart/form-data; boundary=x", "multipart/form-data", "text/plain", ""):
        answer = echo(factory.post("/", b"{}", content_type=kind))
        assert (answer.status_code, json.loads(answer.content)["error"]["code"]) == (415, "json_type"), kind


@pytest.mark.parametrize("path", ["/health/live", "/onboarding/webhook/", "/logout/", "/dashboard/billing/"])
def test_a_method_that_is_not_taken_is_told_which_are(path, client, db):
    answer = client.delete(path)
    assert answer.status_code == 405
    message = answer.json()["error"]["message"]
    assert message == f"Use {' or '.join(answer.headers['Allow'].split(', '))}."


@pytest.mark.parametrize("method", ["get", "put", "delete", "patch", "head"])
def test_an_api_takes_post_only(method):
    answer = echo(getattr(factory, method)("/"))
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


def address(settings, *, proxies, forwarded=None, peer="192.0.2.1"):
    settings.TRUSTED_PROXY_COUNT = proxies
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    return requests.client_address(factory.get("/", headers=headers, REMOTE_ADDR=peer))


FORGED = "1.1.1.1, 2.2.2.2, 3.3.3.3"


@pytest.mark.parametrize(
    ("proxies", "forwarded", "expected"),
    [
        (0, None, "192.0.2.1"),
        (0, FORGED, "192.0.2.1"),
        (1, FORGED, "3.3.3.3"),
        (2, FORGED, "2.2.2.2"),
        (3, FORGED, "1.1.1.1"),
        (4, FORGED, "192.0.2.1"),
        (1, None, "192.0.2.1"),
        (1, "", "192.0.2.1"),
        (1, " , ,", "192.0.2.1"),
        (2, "9.9.9.9", "192.0.2.1"),
        (1, "nonsense", "unknown"),
        (1, "1.1.1.1:8080", "unknown"),
        (1, "<script>, 010.1.1.1", "unknown"),
        (1, "\x00", "unknown"),
        (1, "5.5.5.5 ,  6.6.6.6  ", "6.6.6.6"),
    ],
)
def test_only_what_trusted_proxies_added_is_believed(settings, proxies, forwarded, expected):
    assert address(settings, proxies=proxies, forwarded=forwarded) == expected


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("::1", "::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("", "unknown"),
        ("unix:", "unknown"),
    ],
)
def test_an_ipv6_neighbourhood_is_one_visitor(settings, peer, expected):
    assert address(settings, proxies=0, peer=peer) == expected


def test_every_answer_has_its_headers_and_is_not_kept(client):
    answer = client.get("/health/live")
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "camera=()" in answer.headers["Permissions-Policy"]
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_view_may_say_otherwise():
    serve = requests.request_context(lambda _: HttpResponse(headers={"Cache-Control": "max-age=60"}))
    assert serve(factory.get("/")).headers["Cache-Control"] == "max-age=60"
