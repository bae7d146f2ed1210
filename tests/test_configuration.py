"""Every variable the settings read is in .env.example and in the README's table, and the other way round."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Read by compose.yml, or by a library directly.
ELSEWHERE = {"TAILSCALE_IP", "KEYCLOAK_ADMIN_PASSWORD", "PROMETHEUS_MULTIPROC_DIR"}
SPECIFIED = {
    "DJANGO_SECRET_KEY", "DEBUG", "POSTGRES_DB", "POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_HOST",
    "KEYCLOAK_SERVER_URL", "KEYCLOAK_REALM", "OIDC_RP_CLIENT_ID", "OIDC_RP_CLIENT_SECRET",
    "KEYCLOAK_ADMIN_CLIENT_ID", "KEYCLOAK_ADMIN_CLIENT_SECRET", "STRIPE_SECRET_KEY", "STRIPE_PUBLISHABLE_KEY",
    "STRIPE_WEBHOOK_SECRET", "MAILGUN_API_KEY", "MAILGUN_DOMAIN", "MAILGUN_WAITLIST_ADDRESS",
    "PROMETHEUS_METRICS_API_KEY", "TAILSCALE_IP",
}  # fmt: skip


def read_by_settings() -> set[str]:
    source = (ROOT / "config/settings.py").read_text()
    return set(re.findall(r'\b(?:text|secret|boolean|integer|words)\(\s*"([A-Z_]+)"', source)) | ELSEWHERE


def required() -> set[str]:
    source = (ROOT / "config/settings.py").read_text()
    return set(re.findall(r'\b(?:text|secret)\("([A-Z_]+)"\)', source))


def test_the_example_lists_every_variable_and_no_other():
    listed = set(re.findall(r"^#?([A-Z][A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert listed == read_by_settings()


def test_the_readme_explains_every_variable_and_no_other():
    rows = [line.split("|")[1] for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("| `")]
    explained = {name for row in rows for name in re.findall(r"`([A-Z][A-Z_]{3,})`", row)}
    assert explained == read_by_settings()


def test_every_variable_of_the_specification_is_read():
    assert read_by_settings() >= SPECIFIED


PRINT_A_KEY = "import config.settings as s; print(s.MAILGUN_API_KEY)"


def start(source: str = PRINT_A_KEY, **changes: str | None) -> subprocess.CompletedProcess[str]:
    """Load the settings in a fresh process, in the tests' environment with `changes`."""
    environment = {name: value for name, value in (dict(os.environ) | changes).items() if value is not None}
    environment["DJANGO_SETTINGS_MODULE"] = "config.settings"
    command = [sys.executable, "-c", source]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("name", sorted(required() - {"POSTGRES_HOST"}))
def test_a_missing_required_variable_stops_the_start_and_is_named(name):
    done = start(**{name: None, "DATABASE_URL": None})
    assert done.returncode != 0
    assert f"{name} is not set." in done.stderr.strip().splitlines()[-1]


def test_a_secret_may_come_from_a_file(tmp_path):
    file = tmp_path / "key"
    file.write_text("from-a-file\n")
    done = start(MAILGUN_API_KEY=None, MAILGUN_API_KEY_FILE=str(file))
    assert (done.returncode, done.stdout.strip()) == (0, "from-a-file")


def test_a_secret_file_that_is_not_there_is_named():
    done = start(MAILGUN_API_KEY_FILE="/nowhere/key")
    assert done.returncode != 0
    assert "MAILGUN_API_KEY_FILE names /nowhere/key, which cannot be read" in done.stderr


@pytest.mark.parametrize(
    ("name", "value"), [("DEBUG", "perhaps"), ("PAYMENT_GRACE_DAYS", "-1"), ("FINAL_EXPIRY_DAYS", "0")]
)
def test_a_value_that_cannot_be_right_stops_the_start(name, value):
    done = start(**{name: value})
    assert done.returncode != 0
    assert name in done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("collected", "storage"), [("true", "CompressedManifestStaticFilesStorage"), ("false", "StaticFilesStorage")]
)
def test_the_image_serves_hashed_files_and_a_checkout_does_not(collected, storage):
    source = "import config.settings as s; print(s.STORAGES['staticfiles']['BACKEND'], s.WHITENOISE_USE_FINDERS)"
    done = start(source, STATIC_COLLECTED=collected)
    backend, finders = done.stdout.split()
    assert (backend.rpartition(".")[2], finders) == (storage, str(collected == "false"))
