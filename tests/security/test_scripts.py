"""Our scripts against prototype pollution: nothing that a server or a visitor says becomes a name in an object."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted((ROOT / "static").rglob("*.js"))
# Strings, templates and comments say nothing of what is done.
QUIET = re.compile(r"""//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`""", re.DOTALL)
FORBIDDEN = {
    "a merge of objects": r"Object\.assign|\b(?:merge|extend|cloneDeep|defaultsDeep)\(",
    "a prototype": r"__proto__|\bprototype\b|\bsetPrototypeOf\b|\.constructor\b|defineProperty",
    "names of an object, inherited ones too": r"\bfor \((?:const|let|var) \w+ in\b",
    "a name that is computed: use a Map": r"[\w\])}]\[[^\d\]]",
    "text that is run": r"\beval\(|\bFunction\(|\bsetTimeout\(\s*\"",
    "markup made of text": r"\b(?:innerHTML|outerHTML|insertAdjacentHTML)\b|document\.write",
}
HOSTILE = """{"error": {"message": "No.", "field": "__proto__", "code": "full", "__proto__": {"polluted": 1},
 "constructor": {"prototype": {"polluted": 1}}}, "__proto__": {"polluted": 1}}"""
PAGE = """<form><input name="csrfmiddlewaretoken" value="x"><p id="problem" hidden></p></form><script src="/forms.js"></script>"""


def find(script: str) -> dict[str, list[str]]:
    code = QUIET.sub(lambda text: '""' if text[0][0] in "\"'`" else "", script)
    found = {what: [part[0] for part in re.finditer(pattern, code)] for what, pattern in FORBIDDEN.items()}
    return {what: parts for what, parts in found.items() if parts}


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_no_script_takes_names_from_outside(path: Path) -> None:
    assert find(path.read_text()) == {}


@pytest.mark.parametrize(
    "bad",
    ["words[stage.state]", "target[key] = value;", "({ a: 1 })[name]", "Object.assign(page, answer)", "x.__proto__ = y",
     "for (const key in answer) use(key);", "items()[key]", "node.innerHTML = answer.text;", "y.constructor.z = 1"],
)  # fmt: skip
def test_the_check_sees(bad: str) -> None:
    assert find(bad)


@pytest.mark.parametrize(
    "good",
    ["const [a, b] = pair;", 'find("[data-x]")', "pair[0]", "// target[key]", "words.get(key)", "[...all].at(1)"],
)
def test_the_check_lets_pass(good: str) -> None:
    assert find(good) == {}


@pytest.mark.browser
def test_a_hostile_answer_changes_no_object_of_the_page(page: Page) -> None:
    """As checkout and recovery read one: parsed, copied with another field, shown."""
    files = {
        "/": ("text/html", PAGE),
        "/forms.js": ("text/javascript", (ROOT / "static/frontdesk/forms.js").read_text()),
        "/api/": ("application/json", HOSTILE),
    }

    def answer(route: Route) -> None:
        kind, body = files["/" + route.request.url.split("/", 3)[3]]
        route.fulfill(content_type=kind, body=body)

    page.route("**/*", answer)
    page.goto("http://localhost/")
    shown = page.evaluate("""async () => {
        const { post, showError } = window.frontdeskForms(document.forms[0]);
        const answer = await post("/api/", {});
        showError({ ...answer.error, field: "code" });
        showError(answer.error);
        return [document.getElementById("problem").textContent.trim(), answer.error.code, ({}).polluted === undefined, [].polluted === undefined];
    }""")
    assert shown == ["No.", "full", True, True]
