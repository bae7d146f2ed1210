"""The manual says what is so: its links, commands, variables, metrics and examples are those of this code."""

import html
import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from django.conf import settings
from django.core.management import get_commands, load_command_class
from django.db import connection
from django.test import Client
from django.urls import reverse
from prometheus_client import generate_latest

from apps.console import manual, manual_values
from apps.console.problems import DRIFT, EMAILS, JOBS
from apps.core import audit, metrics, retention
from apps.core.attention import Cause
from apps.core.models import AuditEntry
from apps.sandbox.run.postgres import program
from tests.test_configuration import table
from tests.world import ROOT

pytestmark = pytest.mark.django_db
Staff = Callable[..., Client]
MONITORING = ROOT / "config/monitoring"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"manage\.py ([a-z_]+)([^`\n|…]*)")
OUTSIDE = {  # variables of other programs, and of ours that no table names
    "FRONTDESK_NAME", "FRONTDESK_URL", "FRONTDESK_WEB_SECRET", "FRONTDESK_SYNC_SECRET", "FRONTDESK_DOCTOR_SECRET", "FRONTDESK_BACKCHANNEL_URL",
    "FRONTDESK_SECRETS", "SETUP_KEYCLOAK_PASSWORD", "SMTP_HOST", "SMTP_PORT", "SMTP_FROM", "SMTP_USER", "SMTP_PASSWORD", "COMPOSE_PROFILES", "COMPOSE_FILE",
}  # fmt: skip


def texts() -> Iterator[tuple[str, str]]:
    for name in manual.NAMES:
        yield name, manual.fill_in(name)


def blocks(language: str) -> list[str]:
    return [body for _, text in texts() for kind, body in BLOCK.findall(text) if kind == language]


def test_every_chapter_stands_in_the_contents_and_every_file_is_one(staff: Staff) -> None:
    assert sorted(manual.NAMES) == sorted(file.stem for file in manual.FOLDER.glob("*.md"))
    page = staff("viewer").get(reverse("admin:manual")).content.decode()
    for name in manual.NAMES:
        chapter = manual.read_chapter(name)
        assert chapter.title
        assert chapter.summary.endswith(".")
        assert html.escape(chapter.title) in page


def test_every_cause_of_attention_has_a_runbook_with_what_to_do_and_how_it_ends(staff: Staff) -> None:
    wanted = {JOBS: "", EMAILS: "", DRIFT: ""} | {cause.value: cause.label for cause in Cause}
    sections = {one.anchor: one for one in manual.read_chapter("runbooks").sections if one.anchor}
    assert wanted.keys() <= sections.keys()
    for anchor, section in sections.items():
        assert section.title == (wanted.get(anchor) or section.title)
        assert re.search(r"What it means\. .+ Do\. .+ Over when .+\.$", section.text), anchor
    page = staff("viewer").get(reverse("admin:manual_chapter", args=["runbooks"])).content.decode()
    assert f'<h2 id="{Cause.DISPUTE}">{Cause.DISPUTE.label}</h2>' in page


def test_every_link_inside_the_manual_leads_to_a_heading() -> None:
    for name in manual.NAMES:
        for target in re.findall(r'href="([^"]+)"', manual.read_chapter(name).html):
            if target.startswith("https://"):
                continue
            other, _, anchor = target.partition("#")
            chapter = manual.read_chapter(other.strip("./")) if other else manual.read_chapter(name)
            assert anchor in {one.anchor for one in chapter.sections}, (name, target)


def test_pages_of_the_console_lead_to_what_is_said_about_them(staff: Staff) -> None:
    for _, name, anchor in manual.ABOUT:
        chapter = manual.read_chapter(name)
        said = next(one.title for one in chapter.sections if one.anchor == anchor) or chapter.title
        assert manual._headings(name)[anchor] == said
    page = staff("admin").get(reverse("admin:operations_safeguardreview_changelist")).content.decode()
    assert re.search(
        r'About this page: <a class="fd-link" href="/admin/manual/daily-work/#the-safeguard">The safeguard</a>', page
    )
    assert "About this page" not in staff("admin").get(reverse("admin:index")).content.decode()


def test_every_command_it_names_exists_with_these_words() -> None:
    commands = get_commands()
    own = set(re.findall(r'^    "(\w+)": "', (ROOT / "manage.py").read_text(), re.MULTILINE))
    found = {(name, words.strip()) for _, text in texts() for name, words in COMMAND.findall(text)}
    assert len(found) > 15
    for name, words in found:
        if name in own:
            continue
        assert name in commands, name
        command = commands[name]
        parser = (load_command_class(command, name) if isinstance(command, str) else command).create_parser(
            "manage.py", name
        )
        known = {option for action in parser._actions for option in action.option_strings}
        assert set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", words)) <= known, (name, words)


def test_every_variable_it_names_is_one() -> None:
    known = {*table(), *OUTSIDE}
    for name, text in texts():
        named = {one for one in re.findall(r"`([A-Z][A-Z_]{3,})(?:=[^`]*)?`", text) if one not in {"SCRIPT", "NAME"}}
        assert named <= known, (name, named - known)


def test_the_alarms_are_about_metrics_there_are(world: object) -> None:
    shown = (
        generate_latest().decode()
        + Client()
        .get("/metrics", headers={"Authorization": f"Bearer {settings.PROMETHEUS_METRICS_API_KEY}"})
        .content.decode()
    )
    named = set(re.findall(r"`[^`]*?\b((?:frontdesk|django)_[a-z_]+)\b[^`]*`", manual.fill_in("monitoring"))) - {
        "django_http_"
    }
    assert len(named) > 12
    for name in named:
        assert f"# TYPE {name.removesuffix('_total')}" in shown or f"# TYPE {name}" in shown, name


def test_the_rules_and_the_dashboard_as_files_are_about_metrics_there_are_and_say_what_the_chapter_says() -> None:
    (group,) = yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"]
    units = {"m": "minute", "h": "hour", "d": "day"}
    rules = {
        (
            one["expr"],
            int(one["for"][:-1]),
            units[one["for"][-1]],
            one["annotations"]["runbook_url"].partition("/manual/")[2],
        )
        for one in group["rules"]
    }
    row = r"^\| `(.+?)` \| (\d+) (minute|hour|day)s? \| \[.+?\]\(\.\./(.+?)\) \|$"
    found = re.findall(row, manual.fill_in("monitoring"), re.MULTILINE)
    assert {(expr, int(number), unit, place) for expr, number, unit, place in found} == rules
    known = {name for name, *_ in metrics.GAUGES} | {"frontdesk_limit_refusals_total"}
    dashboard = json.loads((MONITORING / "grafana-dashboard.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    named = {
        name
        for expr in [*asked, *(one["expr"] for one in group["rules"])]
        for name in re.findall(r"frontdesk_\w+", expr)
    }
    assert named <= known
    assert known - set(re.findall(r"frontdesk_\w+", " ".join(asked))) == set()
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(asked) - 1  # one has two lines


def test_what_is_kept_is_the_table_of_the_settings() -> None:
    assert manual_values.KEPT.keys() == settings.RETENTION.keys() == retention.RULES.keys()


def test_the_search_finds_the_heading_first_and_shows_markup_as_text(staff: Staff) -> None:
    assert manual.search("refund full")[0].chapter.name in {"customers", "live-keys"}
    assert manual.search("LAW violated")[0].section.anchor == "law"
    assert manual.search("after restore")[0].url == "/admin/manual/backup/#after-a-restore"
    assert manual.search("zebra") == []
    assert manual.search("  ") == []
    client = staff("viewer")
    page = client.get(reverse("admin:manual"), {"q": "<b>x</b>"}).content.decode()
    assert "Nothing has all of “&lt;b&gt;x&lt;/b&gt;”" in page
    page = client.get(reverse("admin:manual"), {"q": "grafana"}).content.decode()
    assert client.get(reverse("admin:manual_chapter", args=["nothing"])).status_code == 404
    assert 'class="fd-hits"' not in page or "<mark>" in page


def test_a_page_of_it_costs_no_more_than_an_empty_one(
    staff: Staff, django_assert_max_num_queries: Callable[..., object]
) -> None:
    client = staff("viewer")
    client.get(reverse("admin:manual"))
    with django_assert_max_num_queries(5):  # type: ignore[attr-defined]
        client.get(reverse("admin:manual_chapter", args=["stripe"]))


def test_the_first_steps_make_what_they_say(tmp_path: Path) -> None:
    for name in (".env.example", "compose.yml"):
        shutil.copy(ROOT / name, tmp_path)
    first = next(block for block in blocks("sh") if "cp .env.example" in block)
    start = next(block for block in blocks("sh") if "grep -o" in block)
    subprocess.run(["sh", "-ec", first], cwd=tmp_path, check=True, capture_output=True)
    env = (tmp_path / ".env").read_text().replace("STRIPE_SECRET_KEY=\n", "STRIPE_SECRET_KEY=sk_test_1\n")
    (tmp_path / ".env").write_text(env)
    subprocess.run(["sh", "-ec", start.split("docker compose")[0]], cwd=tmp_path, check=True)
    wanted = {Path(one["file"]).name for one in yaml.safe_load((ROOT / "compose.yml").read_text())["secrets"].values()}
    assert {one.name for one in (tmp_path / "secrets").iterdir()} == wanted
    assert (tmp_path / "secrets/STRIPE_SECRET_KEY").read_text() == "sk_test_1\n"
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700


def test_the_services_it_starts_are_those_of_compose() -> None:
    services = yaml.safe_load((ROOT / "compose.yml").read_text())["services"].keys()
    lines = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("docker compose")]
    assert len(lines) > 8
    for line in lines:
        for part in re.split(r"&&|;", line.split("<")[0].split(">")[0]):
            words = [one for one in shlex.split(part)[2:] if not one.startswith("-") and one != "HUP"]
            named = words[1:2] if words[0] in {"exec", "run", "kill"} else words[1:]
            assert set(named) <= services, line


def test_what_the_houses_without_our_proxy_or_our_containers_type_is_what_these_do() -> None:
    """nginx sets what compose.yml's does; an upgrade renews the units that the installation has put there."""
    ours = (ROOT / "config/proxy/application.conf").read_text()
    headers = re.findall(r'proxy_set_header (\S+) (?!"")', ours)
    example = next(block for block in blocks("text") if "proxy_set_header" in block)
    assert set(re.findall(r"proxy_set_header (\S+)", example)) == set(headers)
    _, text = next(one for one in texts() if one[0] == "systemd")
    install, upgrade = (text.split(f"{{#{name}}}")[1].split("\n## ")[0] for name in ("install", "upgrade"))
    copies = [line for line in install.splitlines() if line.startswith(("cp ", "install config"))]
    assert len(copies) == 2
    lines = upgrade.splitlines()
    for line in copies:
        assert lines.index(line) < next(at for at, one in enumerate(lines) if "restart frontdesk-web" in one)
    (backup,) = (block for block in blocks("sh") if "up --detach backup\n" in block)
    assert "touch secrets/KEYCLOAK_DB_PASSWORD\n" in backup  # the service lists it where no Keycloak runs, too


@pytest.mark.django_db(transaction=True)
def test_the_backup_comes_back_by_the_commands_it_gives(tmp_path: Path) -> None:
    """Both run as they stand, on the tests' own Postgres; what came after the backup is gone again."""
    audit.record(subject=("house", 1), action=audit.AuditAction.ATTENTION_CLOSED, actor="staff:ada", reason="Before.")
    (restore,) = (_inside(block) for block in blocks("sh") if "pg_restore" in block)
    assert any("docker compose run --rm backup make" in block for block in blocks("sh"))
    script = [str(ROOT / "config/backup/frontdesk-backup"), "make"]
    subprocess.run(script, env=_as_in_the_service() | {"BACKUP_FOLDER": str(tmp_path)}, check=True)
    (dump,) = tmp_path.iterdir()
    audit.record(subject=("house", 1), action=audit.AuditAction.ATTENTION_CLOSED, actor="staff:ada", reason="After.")
    connection.close()
    with dump.open("rb") as file:
        subprocess.run(["sh", "-c", restore], env=_as_in_the_service(), stdin=file, check=True)
    assert list(AuditEntry.objects.values_list("reason", flat=True)) == ["Before."]


def _inside(block: str) -> str:
    """What the block runs inside the database's service."""
    (found,) = re.findall(r"sh -c '([^']+)'", block)
    return str(found)


def _as_in_the_service() -> dict[str, str]:
    database = connection.settings_dict
    return {
        "PATH": f"{program('pg_dump', Path(database['HOST'])).parent}:{os.environ['PATH']}", "PGHOST": database["HOST"],
        "POSTGRES_USER": database["USER"], "POSTGRES_DB": database["NAME"], "PGPASSWORD": database["PASSWORD"] or "",
    }  # fmt: skip
