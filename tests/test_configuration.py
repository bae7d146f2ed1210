"""Every variable: one row in the README's table, one line in .env.example, one call in the settings, and all three agree."""

import ast
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from config import environment

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [
    ROOT / f"config/{name}.py" for name in ("limits", "logs", "legal", "languages", "brand", "database", "settings")
]
# Read by compose.yml, or by a library directly.
ELSEWHERE = {
    "TAILSCALE_IP",
    "PUBLIC_IP",
    "TLS_FOLDER",
    "LOG_SERVER",
    "LOG_SERVER_CA",
    "KEYCLOAK_ADMIN_PASSWORD",
    "KEYCLOAK_DB_PASSWORD",
    "GRAFANA_ADMIN_PASSWORD",
    "BACKUP_FOLDER",
    "BACKUP_MINUTES",
    "BACKUP_KEEP_DAYS",
    "BACKUP_KEEP_WEEKS",
    "BACKUP_KEEP_MONTHS",
    "PROMETHEUS_MULTIPROC_DIR",
}
READERS = {"rates", "text", "secret", "boolean", "integer", "choice", "words", "hours", "several"}


def calls() -> dict[str, tuple[str, str | None]]:
    """What the settings read: variable -> who reads it, and the default as text (None: required)."""
    found: dict[str, tuple[str, str | None]] = {}
    for node in ast.walk(ast.parse("".join(file.read_text() for file in SOURCES))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in READERS:
            name = ast.literal_eval(node.args[0])
            given = [*node.args[1:], *(word.value for word in node.keywords if word.arg == "default")]
            found[name] = (node.func.id, _default(node.func.id, given))
    return found


def _default(reader: str, given: list[ast.expr]) -> str | None:
    if not given:
        return "" if reader in {"words", "hours"} else None
    value = ast.literal_eval(given[0]) if isinstance(given[0], ast.Constant) else "…"
    return str(value).lower() if isinstance(value, bool) else str(value)


def table() -> dict[str, tuple[str, str, str]]:
    """The README's table: variable -> required, default, meaning."""
    lines = (ROOT / "README.md").read_text().splitlines()
    begin = lines.index("| variable | required | default | meaning |")
    rows = {}
    for line in lines[begin + 2 :]:
        if not line.startswith("| `"):
            break
        name, required, default, meaning = (cell.strip() for cell in line.strip("|").split("|"))
        assert name.strip("`") not in rows, name
        rows[name.strip("`")] = (required, default.strip("`–"), meaning)
    return rows


SECRETS = sorted(name for name, (reader, _) in calls().items() if reader == "secret")


def test_the_example_lists_every_variable_and_no_other():
    listed = re.findall(r"^#?([A-Z][A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    assert set(listed) == set(calls()) | ELSEWHERE
    assert len(listed) == len(set(listed))


def test_the_readme_explains_every_variable_and_no_other():
    assert set(table()) == set(calls()) | ELSEWHERE
    assert all(meaning for _, _, meaning in table().values())


def test_the_readme_says_what_is_required_and_what_holds_otherwise():
    told = {name: (required, default) for name, (required, default, _) in table().items() if name in calls()}
    for name, (_, default) in calls().items():
        required, said = told[name]
        assert required == ("yes" if default is None else "no"), name
        if name not in {
            "DEFAULT_FROM_EMAIL",
            "STRIPE_CSP_HOSTS",
            "STAFF_REQUIRED_ACR",
        }:  # made of others, or too long for a table
            assert said == (default or ""), name


def test_the_readme_marks_the_secrets():
    assert sorted(name for name, (_, _, meaning) in table().items() if meaning.startswith("*Secret.*")) == SECRETS
    names = ("SECRET", "PASSWORD", "API_KEY", "DATABASE_URL")  # whoever adds one, reads it as one
    assert {name for name in calls() if any(word in name for word in names)} <= set(SECRETS)


# --- reading them ------------------------------------------------------------------------------------------------------


def settings(monkeypatch: pytest.MonkeyPatch, **changes: str | None) -> dict[str, Any]:
    """config/settings.py and what it imports, read again in the tests' environment with `changes`."""
    for name, value in ({"DATABASE_URL": None} | changes).items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    limits, _logs, legal, _languages, _brand, _database, rest = (runpy.run_path(str(file)) for file in SOURCES)
    return rest | limits | legal


@pytest.mark.parametrize("name", sorted(name for name, (_, default) in calls().items() if default is None))
def test_a_missing_required_variable_stops_the_start_and_is_named(name, monkeypatch):
    for empty in (None, "", "  "):
        with pytest.raises(ImproperlyConfigured, match=rf"^{name} is not set\. Set it in the environment"):
            settings(monkeypatch, **{name: empty})


@pytest.mark.parametrize("name", SECRETS)
def test_every_secret_may_come_from_a_file(name, monkeypatch, tmp_path):
    file = tmp_path / "secret"
    file.write_text("  from-a-file\n")
    monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(f"{name}_FILE", str(file))
    assert environment.secret(name) == "from-a-file"
    source = "".join(file.read_text() for file in SOURCES)
    assert f'secret("{name}"' in source


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_given_twice_is_refused(name, monkeypatch, tmp_path):
    file = tmp_path / "secret"
    file.write_text("from-a-file")
    monkeypatch.setenv(name, "from-the-environment")
    monkeypatch.setenv(f"{name}_FILE", str(file))
    with pytest.raises(ImproperlyConfigured, match=rf"^{name} and {name}_FILE are both set\. Keep one of them\.$"):
        environment.secret(name, "")


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "which cannot be read: No such file"), (b"\n", "which is empty"), (b"\xff", "which cannot be read")],
)
def test_a_secret_file_that_holds_none_is_named(content, said, monkeypatch, tmp_path):
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ImproperlyConfigured, match=f"^MAILGUN_API_KEY_FILE names {file}, {said}"):
        settings(monkeypatch, MAILGUN_API_KEY=None, MAILGUN_API_KEY_FILE=str(file))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEBUG", "perhaps"),
        ("STATIC_COLLECTED", "2"),
        ("PAYMENT_GRACE_DAYS", "-1"),
        ("FINAL_EXPIRY_DAYS", "0"),
        ("PAUSED_COLLECTION", "perhaps"),
        ("LOST_DISPUTE", "ban"),
        ("CHECKOUT_SESSION_MINUTES", "29"),
        ("WORKER_PROCESSES", "two"),
        ("LIMIT_SIGNUPS_ALL", "200"),
        ("LIMIT_SIGNUPS_ALL", "0/1h"),
        ("LIMIT_MAILS_PAIR", "5/1h, 10/1d"),
        ("LIMIT_MAILS_PAIR", "5/1h 9/60m"),
        ("LIMIT_NETWORK_FACTOR", "0"),
        ("ALERT_QUIET_HOURS", "22"),
        ("ALERT_QUIET_HOURS", "22-25"),
        ("ALERT_QUIET_HOURS", "ten-7"),
        ("TRUSTED_PROXY_COUNT", "1.5"),
    ],
)
def test_a_value_that_cannot_be_right_stops_the_start(name, value, monkeypatch):
    with pytest.raises(ImproperlyConfigured, match=rf"^{name} must be .*, not '{re.escape(value)}'\.$"):
        settings(monkeypatch, **{name: value})


@pytest.mark.parametrize(
    ("collected", "storage"), [("true", "CompressedManifestStaticFilesStorage"), ("false", "StaticFilesStorage")]
)
def test_the_image_serves_hashed_files_and_a_checkout_does_not(collected, storage, monkeypatch):
    found = settings(monkeypatch, STATIC_COLLECTED=collected)
    assert found["STORAGES"]["staticfiles"]["BACKEND"].rpartition(".")[2] == storage
    assert found["WHITENOISE_USE_FINDERS"] is (collected == "false")


def test_a_database_may_be_given_as_one_url(monkeypatch):
    found = settings(monkeypatch, DATABASE_URL="postgresql://dora:p%40ss@db.example.com:5433/desk", POSTGRES_DB=None)
    database = found["DATABASES"]["default"]
    assert [database[name] for name in ("NAME", "USER", "PASSWORD", "HOST", "PORT")] == [
        "desk", "dora", "p@ss", "db.example.com", "5433",
    ]  # fmt: skip


def test_tls_of_the_database_is_set_and_what_is_not_set_is_left_to_libpq(monkeypatch):
    options = settings(monkeypatch, POSTGRES_SSLMODE="verify-full", POSTGRES_SSLROOTCERT="/ca.pem")["DATABASES"][
        "default"
    ]["OPTIONS"]
    assert (options["sslmode"], options["sslrootcert"]) == ("verify-full", "/ca.pem")
    none = settings(monkeypatch, POSTGRES_SSLMODE="", POSTGRES_SSLROOTCERT=None)["DATABASES"]["default"]["OPTIONS"]
    assert not {"sslmode", "sslrootcert"} & set(none)
    with pytest.raises(ImproperlyConfigured, match=r"^POSTGRES_SSLMODE must be disable or allow or .* not 'yes'"):
        settings(monkeypatch, POSTGRES_SSLMODE="yes")


# --- as a person meets it ------------------------------------------------------------------------------------------------

FILLED = {  # what somebody who copies .env.example has to fill in
    "DJANGO_SECRET_KEY": "0123456789-abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "POSTGRES_PASSWORD": "x",
    "OIDC_RP_CLIENT_SECRET": "x",
    "KEYCLOAK_ADMIN_CLIENT_SECRET": "x",
    "STRIPE_SECRET_KEY": "sk_test_000000000000000000000000",
    "STRIPE_PUBLISHABLE_KEY": "pk_test_000000000000000000000000",
    "STRIPE_WEBHOOK_SECRET": "whsec_0123456789abcdef0123456789abcdef",
    "MAILGUN_API_KEY": "x",
    "PROMETHEUS_METRICS_API_KEY": "0123456789-abcdefghijklmnopqrstuvwxyz",
}


def check(**changes: str) -> subprocess.CompletedProcess[str]:
    """`manage.py check --deploy` with .env.example as it is, but for what has to be filled in."""
    lines = [line for line in (ROOT / ".env.example").read_text().splitlines() if "=" in line and line[0] != "#"]
    example = dict(line.split("=", 1) for line in lines)
    assert {name for name, value in example.items() if not value and table()[name][0] == "yes"} == set(FILLED)
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    return subprocess.run(
        command, cwd=ROOT, env={"PATH": os.environ["PATH"], **example, **FILLED, **changes},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_the_example_filled_in_is_a_sound_production():
    done = check()
    assert (done.returncode, done.stdout.strip()) == (0, "System check identified no issues (1 silenced)."), done.stderr


def test_a_start_that_is_stopped_says_one_sentence():
    done = check(STRIPE_WEBHOOK_SECRET="")
    sentence = (
        "Frontdesk cannot start: STRIPE_WEBHOOK_SECRET is not set. Set it in the environment (see .env.example).\n"
    )
    assert (done.returncode, done.stderr) == (1, sentence)


def test_a_list_of_secrets_is_read_by_name_and_a_wrong_one_is_not_repeated():
    assert environment.named_secrets("LIST", " cloud-1=a=b  cloud-2=c ") == {"cloud-1": "a=b", "cloud-2": "c"}
    assert environment.named_secrets("LIST", "") == {}
    for wrong in ("hunter2", "cloud-1=", "=hunter2"):
        with pytest.raises(ImproperlyConfigured, match="LIST must be a list") as refusal:
            environment.named_secrets("LIST", wrong)
        assert "hunter2" not in str(refusal.value)
