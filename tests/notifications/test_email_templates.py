"""Every email can be written, says the same in text and HTML, and lets nobody's input become markup."""

import re
from html import unescape
from pathlib import Path

import pytest
from django.conf import settings
from django.utils.html import escape

from apps.core import languages
from apps.notifications import email_templates
from apps.notifications.email_list import EMAILS, SAMPLES, STAFF, sample_values

NAMES = sorted(email_templates.VALUES)


def values_for(name: str, *, optional: bool = True) -> dict[str, object]:
    wanted = email_templates.VALUES[name]
    return {one.rstrip("?"): SAMPLES[one.rstrip("?")] for one in wanted if optional or not one.endswith("?")}


@pytest.mark.parametrize("optional", [True, False], ids=["everything", "only what is needed"])
@pytest.mark.parametrize("name", NAMES)
def test_an_email_is_whole_in_all_three_parts(name: str, optional: bool) -> None:
    values = values_for(name, optional=optional)
    email_templates.check_values(name, values)
    email = email_templates.render_email(name, values)
    assert 10 < len(email.subject) < 100
    assert "\n" not in email.subject
    for part in (email.subject, email.text, email.html):
        assert "{{" not in part
        assert "{%" not in part
        assert "None" not in part
    assert "&amp;" not in email.text
    assert not re.search(r"\n\n\n| +\n", email.text)
    assert email.html.startswith("<!DOCTYPE html>")
    assert email.html.count("<table") == email.html.count("</table>")
    assert email.html.count("<p") == email.html.count("</p>")
    assert settings.BRAND["name"] in email.text
    plain = unescape(re.sub(r"<[^>]+>", " ", email.html))
    for value in values.values():
        if isinstance(value, str) and not value.startswith("http"):
            assert value in email.text + email.subject
            assert value in plain + email.subject


@pytest.mark.parametrize("name", NAMES)
def test_text_and_html_link_to_the_same_places(name: str) -> None:
    email = email_templates.render_email(name, values_for(name))
    in_html = {link.replace("&amp;", "&") for link in re.findall(r'href="(http[^"]+)"', email.html)}
    in_text = set(re.findall(r"https?://\S+", email.text))
    assert in_html - {f"{settings.BASE_URL}/admin/"} <= in_text | {f"{settings.BASE_URL}/"}
    assert {link for link in in_text if "/admin/" not in link} <= in_html


def test_a_trial_without_a_card_is_not_said_to_go_on_by_itself() -> None:
    values = sample_values("trial_ending") | {"lapses": True, "closes": True}
    email = email_templates.render_email("trial_ending", values)
    for part in (email.text, email.html):
        assert "add a card before then" in part
        assert "Your apps close then" in part
        assert "continues automatically" not in part
    assert not re.search(r"\n\n\n| +\n", email.text)


def test_every_template_belongs_to_a_letter() -> None:
    folder = Path(settings.BASE_DIR) / "templates" / "mail"
    found = {file.name.split(".")[0] for file in folder.glob("*.*")} - {"base"}
    assert found == set(email_templates.VALUES)


def test_what_people_typed_is_text_and_never_markup() -> None:
    name = '<a href="http://evil.example">Nora & Co</a>'
    email = email_templates.render_email("expired", {"first_name": name})
    assert f"Hello {name}," in email.text
    assert "<a href=" not in email.html.split("Hello")[1].split("</p>")[0]
    assert "Nora &amp; Co" in email.html


def test_a_subject_stays_one_line_whatever_a_value_holds() -> None:
    email = email_templates.render_email(
        "waitlist_note", {"email": "a@b.example", "product": "x\r\nBcc: all@example.com"}
    )
    assert email.subject == "New on the waitlist for x Bcc: all@example.com"


@pytest.mark.parametrize(
    ("name", "values"),
    [("unknown", {}), ("signup_code", {"code": "1"}), ("expired", {"first_name": "N", "foo": "1"})],
)
def test_an_email_with_missing_or_unknown_values_is_refused(name: str, values: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"email"):
        email_templates.check_values(name, values)


def test_the_brand_shows_with_its_logo_colour_and_legal_links(settings: object) -> None:
    settings.BRAND = settings.BRAND | {
        "name": "Kontor",
        "logo_url": "https://kontor.example/logo.png",
        "color": "#123456",
        "imprint_url": "https://kontor.example/imprint",
    }
    email = email_templates.render_email("expired", {})
    assert "https://kontor.example/logo.png" in email.html
    assert "#123456" in email.html
    assert "https://kontor.example/imprint" in email.html
    assert "https://kontor.example/imprint" in email.text
    assert "Kontor" in email.subject


@pytest.mark.parametrize("language", ["en", "de"])
def test_an_email_says_in_which_language_it_is(language: str) -> None:
    with languages.speaking(language):
        email = email_templates.render_email("signup_code", sample_values("signup_code"))
    assert f'<html lang="{language}">' in email.html
    assert "493 027" in email.html


ODD_NAMES = {
    "none": "", "long": "Wolfeschlegelsteinhausenbergerdorff" * 3, "right to left": "\u0646\u0648\u0631\u0627 \u0627\u0644\u062d\u0633\u0646",
    "markup": "<b>&amp;", "marks": "O'Brien-\u00c5s\u00e9 \U0001f389", "a line break": "No\nra",
}  # fmt: skip


def test_every_email_to_people_is_written_in_german_too() -> None:
    for name, kind in EMAILS.items():
        english = email_templates.render_email(name, sample_values(name))
        with languages.speaking("de"):
            german = email_templates.render_email(name, sample_values(name))
        assert (german.subject == english.subject) == (kind.to == STAFF), name
        assert kind.to == STAFF or ('<html lang="de">' in german.html), name


@pytest.mark.parametrize("odd", ODD_NAMES)
@pytest.mark.parametrize("name", [one for one in NAMES if "first_name?" in EMAILS[one].values])
def test_an_odd_name_breaks_no_email(name: str, odd: str) -> None:
    first_name = ODD_NAMES[odd]
    email = email_templates.render_email(name, sample_values(name) | {"first_name": first_name})
    greeting = f"Hello {first_name}," if first_name else "Hello,"
    assert greeting in email.text
    assert (f"<bdi>{escape(first_name)}</bdi>" in email.html) == bool(first_name)
    assert first_name not in email.subject or not first_name


def test_every_value_of_every_email_has_a_sample() -> None:
    for name in NAMES:
        email_templates.check_values(name, sample_values(name))
