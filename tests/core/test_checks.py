"""Each system check is provoked once, and a sound configuration has nothing to say."""

import pytest

from apps.core import checks


@pytest.fixture
def sound(settings):
    """A configuration as an operator would have it."""
    settings.SECRET_KEY = "x" * 50
    settings.DEBUG = False
    settings.STRIPE_SECRET_KEY = "sk_test_" + "a" * 24
    settings.STRIPE_LIVE_MODE = False
    settings.STRIPE_ALLOW_LIVE = False
    settings.STRIPE_WEBHOOK_SECRET = "whsec_" + "a" * 32
    settings.STRIPE_WEBHOOK_SECRET_PREVIOUS = ""
    settings.STRIPE_CHECKOUT_UI = "embedded"
    settings.STRIPE_API_HOST = "https://api.stripe.com"
    settings.KEYCLOAK_SERVER_URL = "https://id.example.com"
    settings.ANYMAIL = settings.ANYMAIL | {"MAILGUN_API_URL": "https://api.mailgun.net/v3"}
    settings.PROMETHEUS_METRICS_API_KEY = "m" * 32
    settings.BRAND = settings.BRAND | dict.fromkeys(("terms_url", "privacy_url", "imprint_url"), "https://a.example/")
    return settings


def messages():
    """What all checks of the settings have to say."""
    parts = (
        checks.secrets_are_sound,
        checks.choices_are_sound,
        checks.law_is_kept,
        checks.peers_are_reached_in_private,
    )
    return [message for check in parts for message in check()]


def found():
    return [message.id for message in messages()]


def test_a_sound_configuration_has_nothing_to_say(sound):
    assert found() == []
    assert checks.stripe_versions_agree() == []


def test_a_live_key_is_fine_where_it_is_allowed(sound):
    sound.STRIPE_SECRET_KEY = "rk_live_" + "a" * 40
    sound.STRIPE_LIVE_MODE = sound.STRIPE_ALLOW_LIVE = True
    assert found() == []
    sound.DEBUG = True
    assert found() == ["frontdesk.E004"]


def test_real_money_needs_terms_privacy_and_imprint(sound):
    sound.BRAND = sound.BRAND | {"terms_url": "", "imprint_url": ""}
    assert found() == []
    sound.STRIPE_LIVE_MODE = sound.STRIPE_ALLOW_LIVE = True
    (message,) = messages()
    assert message.id == "frontdesk.E012"
    assert message.msg == "A live Stripe key is set, but there is no terms of service or imprint."
    assert message.hint == "Set TERMS_URL, IMPRINT_URL, or put the texts into LEGAL_FOLDER: terms.md, imprint.md."


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("SECRET_KEY", "short", "E001"),
        ("STRIPE_SECRET_KEY", "", "E002"),
        ("STRIPE_SECRET_KEY", "pk_test_" + "a" * 24, "E002"),
        ("STRIPE_SECRET_KEY", "sk_test_" + "a" * 23, "E002"),
        ("STRIPE_SECRET_KEY", "sk_test_" + "a" * 24 + "\n", "E002"),
        ("STRIPE_WEBHOOK_SECRET", "", "E003"),
        ("STRIPE_WEBHOOK_SECRET", "whsec_short", "E003"),
        ("STRIPE_WEBHOOK_SECRET_PREVIOUS", "secret" * 8, "E003"),
        ("STRIPE_LIVE_MODE", True, "E004"),
        ("STRIPE_CHECKOUT_UI", "popup", "E005"),
        ("PROMETHEUS_METRICS_API_KEY", "m" * 31, "E006"),
        ("KEYCLOAK_SERVER_URL", "http://id.example.com", "E007"),
        ("STRIPE_API_HOST", "http://api.stripe.com", "E007"),
        ("STRIPE_API_HOST", "http://203.0.113.9/stripe", "E007"),
        ("STRIPE_API_HOST", "http://[2001:db8::9]/stripe", "E007"),
    ],
)
def test_what_cannot_be_right_is_an_error(sound, name, value, error):
    setattr(sound, name, value)
    assert found() == [f"frontdesk.{error}"]


def test_mail_in_clear_is_an_error(sound):
    sound.ANYMAIL = sound.ANYMAIL | {"MAILGUN_API_URL": "http://api.mailgun.net/v3"}
    assert found() == ["frontdesk.E007"]


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8001/x",
        "http://[::1]:8001",
        "http://localhost:8001",
        "http://keycloak:8080",
        "https://x.example",
    ],
)
def test_clear_text_is_fine_on_this_machine_and_its_container_network(sound, url):
    sound.KEYCLOAK_SERVER_URL = url
    assert found() == []


def test_every_error_says_what_to_do(sound):
    sound.SECRET_KEY = "x"
    sound.STRIPE_SECRET_KEY = sound.STRIPE_WEBHOOK_SECRET = ""
    sound.PROMETHEUS_METRICS_API_KEY = ""
    for message in messages():
        assert message.hint
        assert message.is_serious()
        assert "sk_test_" not in message.msg


def test_a_stripe_version_that_differs_from_the_sdks_is_a_warning(sound):
    sound.STRIPE_API_VERSION = "2020-01-01.acacia"
    (message,) = checks.stripe_versions_agree()
    assert message.id == "frontdesk.W001"
    assert "2020-01-01.acacia" in message.msg


@pytest.mark.parametrize(
    ("https", "needed", "warned"),
    [(True, "", True), (True, "1", True), (True, "2", False), (True, "gold", False), (False, "", False)],
)
def test_a_public_site_whose_staff_need_no_second_factor_is_a_warning(sound, https, needed, warned):
    sound.HTTPS, sound.STAFF_REQUIRED_ACR = https, needed
    assert [one.id for one in checks.staff_have_a_second_factor()] == ["frontdesk.W002"] * warned


@pytest.mark.parametrize(
    ("host", "options", "said"),
    [
        ("db.example.net", {}, ["E011"]),
        ("203.0.113.9", {"sslmode": "prefer"}, ["E011"]),
        ("2001:db8::9", {"sslmode": "allow"}, ["E011"]),
        ("/run/postgres,db.example.net", {"sslmode": "disable"}, ["E011"]),
        ("", {"host": "db.example.net"}, ["E011"]),
        ("db.example.net", {"sslmode": "require"}, ["W003"]),
        ("db.example.net", {"sslmode": "verify-full"}, []),
        ("db.example.net", {"sslmode": "verify-ca"}, []),
        *[
            (near, {}, [])
            for near in ("", "/run/postgres", "/srv/db.example", "127.0.0.1", "127.0.0.2", "::1", "postgres")
        ],
    ],
)
def test_a_database_on_another_machine_is_reached_in_private(sound, monkeypatch, host, options, said):
    monkeypatch.setitem(sound.DATABASES, "default", {"HOST": host, "OPTIONS": options})
    assert [one.id for one in checks.database_is_reached_in_private()] == [f"frontdesk.{one}" for one in said]


def test_libpqs_own_variable_counts_too(sound, monkeypatch):
    monkeypatch.setitem(sound.DATABASES, "default", {"HOST": "db.example.net"})
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    assert checks.database_is_reached_in_private() == []
