"""Which passwords nobody may choose: enough of the common ones, and what people make of the words of the site itself."""

import re
from typing import Any

import pytest
from django.core.management import call_command

from apps.catalog.models import Product
from apps.identity import denied_passwords
from apps.identity.doctor.expected import MIN_PASSWORD_LENGTH
from tests.sandbox.keycloak_fixture import PASSWORD


def test_the_file_has_thousands_of_allowed_length_as_keycloak_reads_them() -> None:
    found = denied_passwords.shipped()
    assert len(found) == len(set(found)) > 10_000  # ASVS asks for 3,000
    assert not [one for one in found if one != one.lower() or len(one) < MIN_PASSWORD_LENGTH or one != one.strip()]
    assert {"qwerty123456", "1qaz2wsx3edc", "123456789123"} < set(found)
    assert PASSWORD not in found
    assert not [one for one in found if re.search(r"@\w+\.\w", one)]  # nobody's address


def test_the_file_holds_what_is_made_of_our_own_name() -> None:
    made = set(denied_passwords.made_of("frontdesk"))
    assert made <= set(denied_passwords.shipped())
    assert {"frontdesk123", "frontdesk2026!", "2026frontdesk", "frontdeskfrontdesk", "frontdesk-admin"} < made
    assert {"fr0n7d35k123", "welcome-frontdesk", "frontdesk@password1"} < made
    assert "an unusual donkey" not in made


def test_a_site_denies_the_words_of_its_brand_its_address_and_its_products(
    db: None, settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.BRAND = settings.BRAND | {"name": "Blue Heron Cloud"}
    settings.BASE_URL = "https://portal.heronry.example"
    Product.objects.create(slug="photo_vault", name="Photo Vault")
    call_command("password_deny_list", "Kingfisher")
    out, err = capsys.readouterr()
    found = out.splitlines()
    assert found[: len(denied_passwords.shipped())] == denied_passwords.shipped()
    assert len(found) == len(set(found))
    for password in ("blueheroncloud", "heronry12345", "photovault2026", "kingfisher12", "cloud-password"):
        assert password in found, password
    assert "kingfisher" in err
    assert not [one for one in found if one != one.lower() or len(one) < MIN_PASSWORD_LENGTH]


@pytest.mark.parametrize("word", ["", "io", "-", "www", "localhost"])
def test_a_word_that_denies_too_much_is_left_out(db: None, word: str) -> None:
    assert denied_passwords.own_words([word]) == denied_passwords.own_words()
