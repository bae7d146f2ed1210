"""`manage.py setup`: asks or reads, makes what is missing at Stripe and Mailgun, writes the files, and makes nothing twice."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from apps.billing import account_setup
from apps.billing import doctor as stripe_doctor
from apps.core.findings import Severity
from apps.core.setup_steps import Outcome, Step
from apps.notifications import doctor as mail_doctor
from apps.notifications import webhook_setup
from apps.operations.setup import command, files, questions
from tests.world import ROOT, World

ANSWERS = {
    "BASE_URL": "http://localhost:8000", "BRAND_NAME": "Kontor", "SUPPORT_EMAIL": "hilfe@kontor.example", "KEYCLOAK_SERVER_URL": "http://localhost:1/",
    "KEYCLOAK_REALM": "kontor", "STRIPE_SECRET_KEY": "sk_test_000000000000000000000000", "STRIPE_PUBLISHABLE_KEY": "pk_test_0123456789abcdef",
    "MAILGUN_API_KEY": "key-0123456789", "MAILGUN_DOMAIN": "mail.kontor.example", "SETUP_KEYCLOAK_USER": "",
}  # fmt: skip


def answers(folder: Path, **changes: str) -> Path:
    file = folder / "answers"
    file.write_text("".join(f"{name}={value}\n" for name, value in (ANSWERS | changes).items() if value))
    return file


def set_up(folder: Path, file: Path) -> subprocess.CompletedProcess[str]:
    """The command as an operator types it, on a machine without any of our variables."""
    words = [sys.executable, "manage.py", "setup", "--no-input", "--folder", str(folder), "--answers", str(file)]
    return subprocess.run(words, cwd=ROOT, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False)


def test_the_command_makes_all_once_and_writes_it_down(world: World, tmp_path: Path) -> None:
    world.shop.control("endpoint", url="https://elsewhere.example/")
    file = answers(
        tmp_path, STRIPE_API_HOST=f"{world.standin.url}/stripe", MAILGUN_API_URL=f"{world.standin.url}/mailgun/v3"
    )

    first = set_up(tmp_path, file)

    assert (first.returncode, first.stderr) == (1, ""), first.stdout  # Keycloak is left to do by hand
    assert "Stripe: made    Stripe sends" in first.stdout
    assert "Mailgun: made    Mailgun tells http://localhost:8000/mailgun/webhook/" in first.stdout
    assert "Keycloak: to do   Make the realm as the manual says" in first.stdout
    written = files.read(tmp_path)
    assert written["STRIPE_WEBHOOK_SECRET"].startswith("whsec_")
    assert written.keys() >= {*questions.MADE_UP, *questions.FIXED}
    assert written["KEYCLOAK_SERVER_URL"] == "http://localhost:1"
    assert written["POSTGRES_HOST"] == "127.0.0.1"  # not the service of compose.yml, which is in another folder
    env = files.read_lines(tmp_path / ".env")
    assert env.keys().isdisjoint(files.lent_secrets(ROOT))
    assert env["BRAND_NAME"] == "Kontor"
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    assert not any(
        secret in first.stdout for name, secret in written.items() if name in files.lent_secrets(ROOT) and secret
    )

    again = set_up(tmp_path, file)

    assert "Stripe: kept    The endpoint for http://localhost:8000/onboarding/webhook/ has all" in again.stdout
    assert "made" not in again.stdout
    assert "Written" not in again.stdout
    assert files.read(tmp_path) == written


def test_what_is_missing_or_wrong_is_named_at_once_and_nothing_is_written(tmp_path: Path) -> None:
    file = answers(
        tmp_path, BASE_URL="http://kontor.example", STRIPE_SECRET_KEY="pk_test_0123456789abcdef", MAILGUN_DOMAIN=""
    )
    done = set_up(tmp_path, file)
    assert done.returncode == command.WRONG
    assert "BASE_URL: The address of the site, as customers will write it. It has to begin with https://" in done.stderr
    assert "STRIPE_SECRET_KEY: Stripe's restricted key. A key of Stripe's begins with rk_test_" in done.stderr
    assert "MAILGUN_DOMAIN: Mailgun's sending domain. It is missing." in done.stderr
    assert [one.name for one in tmp_path.iterdir()] == ["answers"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"STRIPE_SECRET_KEY": "rk_live_0123456789abcdef"}, "One of Stripe's keys is a test key"),
        (
            {"STRIPE_SECRET_KEY": "rk_live_0123456789abcdef", "STRIPE_PUBLISHABLE_KEY": "pk_live_0123456789abcdef"},
            "STRIPE_ALLOW_LIVE=true",
        ),
        ({}, ""),
    ],
)
def test_keys_that_do_not_fit_together_are_refused(changes: dict[str, str], said: str) -> None:
    found = questions.find_contradiction(ANSWERS | changes)
    assert said in found
    assert bool(said) == bool(found)


def test_it_asks_until_an_answer_can_be(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    typed = iter([
        "kontor", "https://kontor.example/", "Kontor", "hilfe@kontor.example", "https://login.kontor.example", "",
        "pk_test_0123456789abcdef", "mail.kontor.example", "", "",
    ])  # fmt: skip
    secrets = iter(["nonsense", "rk_test_0123456789abcdef", "key-1", ""])
    monkeypatch.setattr("builtins.input", lambda _asks: next(typed))
    monkeypatch.setattr("getpass.getpass", lambda _asks: next(secrets))
    found = command._answer({}, may_ask=True)
    assert (found["BASE_URL"], found["KEYCLOAK_REALM"], found["STRIPE_SECRET_KEY"]) == (
        "https://kontor.example",
        "frontdesk",
        "rk_test_0123456789abcdef",
    )
    assert "It has to be an address such as" in capsys.readouterr().out
    assert len(found["DJANGO_SECRET_KEY"]) >= 50


def test_a_file_keeps_what_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("# mine\nOTHER=1\nBRAND_NAME=Old\n#LOG_LEVEL=INFO\n")
    files.write(
        tmp_path, {"BRAND_NAME": "New", "STRIPE_SECRET_KEY": "rk_test_1", "SITE_LANGUAGES": "en,de"}, project=ROOT
    )
    assert (tmp_path / ".env").read_text() == "# mine\nOTHER=1\nBRAND_NAME=New\n#LOG_LEVEL=INFO\nSITE_LANGUAGES=en,de\n"
    assert (tmp_path / "secrets/STRIPE_SECRET_KEY").read_text() == "rk_test_1\n"
    assert files.write(tmp_path, {"BRAND_NAME": "New"}, project=ROOT) == []


def test_what_was_changed_in_the_file_is_newer_than_the_secret_beside_it(tmp_path: Path) -> None:
    files.write(tmp_path / "new", {"STRIPE_SECRET_KEY": "rk_test_old", "BRAND_NAME": "Kontor"}, project=ROOT)
    env = tmp_path / "new/.env"
    env.write_text(env.read_text().replace("STRIPE_SECRET_KEY=", "STRIPE_SECRET_KEY=rk_live_new"))
    assert files.read(tmp_path / "new")["STRIPE_SECRET_KEY"] == "rk_live_new"
    assert command._known(tmp_path / "new").get("BASE_URL") is None  # the example's is no answer
    assert command._known(tmp_path / "new")["BRAND_NAME"] == "Kontor"


def test_values_are_quoted_as_compose_and_systemd_read_them_and_those_of_others_stay(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text('TAX_NOTE="incl. 19 % VAT # net on request"\nBRAND_NAME=Old\n')
    files.write(
        tmp_path, files.read(tmp_path) | {"BRAND_NAME": "Käse & Co $5", "BRAND_DESCRIPTION": "It's yours"}, project=ROOT
    )
    lines = (tmp_path / ".env").read_text().splitlines()
    assert lines == [
        'TAX_NOTE="incl. 19 % VAT # net on request"',
        "BRAND_NAME='Käse & Co $5'",
        'BRAND_DESCRIPTION="It\'s yours"',
    ]
    assert files.read(tmp_path)["BRAND_NAME"] == "Käse & Co $5"
    files.write(tmp_path, {"BRAND_DESCRIPTION": 'It\'s "5 $" \\o/'}, project=ROOT)
    assert files.read(tmp_path)["BRAND_DESCRIPTION"] == 'It\'s "5 $" \\o/'


def steps(**more: Any) -> list[Step]:
    return list(account_setup.set_up(**({"knows_secret": True} | more)))


def test_an_endpoint_that_is_there_gets_what_it_lacks_and_is_switched_on(world: World) -> None:
    url = "http://localhost:8000/onboarding/webhook/"
    world.shop.control("endpoint", url=url, status="disabled", events=["invoice.paid", "payout.paid"])
    assert steps()[0].outcome == Outcome.MADE
    (one,) = world.shop.v1.webhook_endpoints.list().data
    assert (one.status, set(one.enabled_events) - {"payout.paid"}) == ("enabled", {*stripe_doctor.NEEDED_EVENTS})
    assert steps()[0].outcome == Outcome.KEPT
    assert "Stripe shows its signing secret only in the dashboard" in steps(knows_secret=False)[0].sentence


def test_a_key_without_the_right_leads_to_the_exact_step_by_hand(world: World) -> None:
    world.shop.control("endpoint", url="https://elsewhere.example/")
    world.shop.control("settings", missing_rights=["webhook_endpoint_write", "billing_portal_configuration_read"])
    endpoint, portal = steps()
    assert (endpoint.outcome, portal.outcome) == (Outcome.TO_DO, Outcome.TO_DO)
    assert "Webhook endpoint: write" in endpoint.sentence
    assert all(event in endpoint.sentence for event in stripe_doctor.NEEDED_EVENTS)
    assert "Settings, Billing, Customer portal, allow customers to" in portal.sentence


def test_the_portal_offers_what_our_pages_lead_to(world: World) -> None:
    assert [one.outcome for one in steps()][1] == Outcome.MADE  # addresses and tax ids could not be changed there
    assert [one.outcome for one in steps()][1] == Outcome.KEPT
    (portal,) = world.shop.v1.billing_portal.configurations.list().data
    assert portal.features.customer_update.allowed_updates == ["address", "tax_id"]
    world.shop.control("settings", portal_saved=False)
    assert [one.outcome for one in steps()][1] == Outcome.TO_DO


def test_mailgun_keeps_others_and_tells_us_too(world: World, settings: Any) -> None:
    settings.MAILGUN_WEBHOOK_SIGNING_KEY = "key"
    world.standin.control("mailgun", webhooks={"delivered": ["https://other.example/"]})
    assert [one.outcome for one in webhook_setup.set_up()] == [Outcome.MADE]
    told = {one.id: one for one in mail_doctor.check_mailgun()}["mailgun.webhooks"]
    assert told.severity == Severity.PASSED
    assert [one.outcome for one in webhook_setup.set_up()] == [Outcome.KEPT]
    world.standin.control("mailgun", state="")
    (step,) = webhook_setup.set_up()
    assert (step.outcome, "knows no domain" in step.sentence) == (Outcome.TO_DO, True)
