"""What Dockerfile and compose.yml say, held against the settings a container needs; `.ci/image` builds and runs them."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.image.dockerfile import NotUnderstood, Stage, ignored, parse

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "frontdesk"}
STAGES = parse(DOCKERFILE)
LAST = STAGES[-1]


def last(word: str) -> str:
    """What the last instruction of this word says in the image that runs."""
    found = LAST.last(word)
    assert found is not None, f"the image has no {word}"
    return found.rest


# --- the settings of a container ---------------------------------------------------------------------------------------


def test_images_of_others_are_named_by_what_they_hold():
    """A tag may be moved to something else, a digest may not."""
    asked = [one["image"] for one in SERVICES.values() if one.get("image", "frontdesk") != "frontdesk"]
    asked += [stage.image for stage in STAGES]
    asked += [step.flags["from"] for stage in STAGES for step in stage.steps if "/" in step.flags.get("from", "")]
    assert len(asked) >= 6
    assert [image for image in asked if not re.search(r":[\w.-]+@sha256:[0-9a-f]{64}$", image)] == []


def test_it_runs_as_nobody_in_particular():
    uid, gid = last("USER").split(":")
    assert min(int(uid), int(gid)) >= 10_000
    assert not any("user" in service for service in OURS.values())


def test_its_root_cannot_be_written_and_its_memory_for_files_is_small():
    written = {name for name, service in SERVICES.items() if not service.get("read_only")}
    assert written == {"keycloak", "keycloak-demo"}  # they build themselves
    for service in OURS.values():
        assert service["read_only"] is True
        assert service["tmpfs"] == ["/tmp:size=64m"]


def test_it_has_no_capability_and_can_gain_none():
    for name, service in SERVICES.items():
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["cap_drop"] == ["ALL"], name
        assert not service.keys() & {"privileged", "cap_add", "pid", "ipc", "devices", "network_mode"}, name


def test_processes_and_memory_are_bounded():
    for name, service in SERVICES.items():
        assert service["pids_limit"] <= (512 if name in {"keycloak", "keycloak-demo", "web"} else 256)  # threads count
        assert service["mem_limit"]


def test_it_holds_neither_a_compiler_nor_uv():
    assert len(STAGES) == 2
    assert all("slim" in stage.image and not stage.image.endswith("latest") for stage in STAGES)
    assert not re.search(r"\b(gcc|build-essential|curl|wget|git)\b", " ".join(step.rest for step in LAST.steps))
    sources = [(step.flags.get("from"), step.rest) for step in LAST.steps if step.word == "COPY"]
    assert sources == [("build", "/app /app")]


def test_no_secret_is_in_a_layer_or_in_compose():
    for stage in STAGES:
        named = [name for step in stage.steps if step.word == "ENV" for name in step.pairs()]
        assert not [name for name in named if re.search("SECRET|PASSWORD|KEY|TOKEN", name)]
    given = {
        name: str(value) for service in SERVICES.values() for name, value in service.get("environment", {}).items()
    }
    secrets = {
        name: value for name, value in given.items() if re.search("(SECRET|PASSWORD|KEY|TOKEN)(__?FILE)?$", name)
    }
    assert all(value.startswith("/run/secrets/") for value in secrets.values()), secrets
    assert ".env" in (ROOT / ".dockerignore").read_text().splitlines()


def test_each_service_has_its_own_secrets_and_no_other():
    of = {name: set(service.get("secrets", [])) for name, service in SERVICES.items()}
    for name, service in SERVICES.items():
        read = [
            ROOT / one.partition(":")[0] for one in service.get("volumes", []) if one.startswith("./config/monitoring/")
        ]
        said = str(service) + "".join(
            file.read_text() for file in read
        )  # in the environment, the command, or its own files
        assert set(re.findall(r"/run/secrets/(\w+)", said)) == of[name], name
    assert {name for name, files in of.items() if "POSTGRES_PASSWORD" in files} == {
        "postgres",
        "migrate",
        "backup",
    }  # the owner's
    assert {name for name, files in of.items() if "KEYCLOAK_ADMIN_PASSWORD" in files} == {"keycloak", "keycloak-demo"}
    assert (of["sandbox"], of["proxy"]) == ({"STRIPE_WEBHOOK_SECRET"}, set())
    assert (of["prometheus"], of["grafana"]) == ({"PROMETHEUS_METRICS_API_KEY"}, {"GRAFANA_ADMIN_PASSWORD"})
    assert {name for name, service in SERVICES.items() if service.get("env_file")} == {
        "migrate",
        "web",
        "worker",
        "drill",
    }
    assert COMPOSE["secrets"] == {name: {"file": f"./secrets/{name}"} for name in set().union(*of.values())}
    for rules in (".dockerignore", ".gitignore"):
        assert "secrets" in [line.strip("/") for line in (ROOT / rules).read_text().splitlines()]


@pytest.mark.parametrize("password", ["", "of $HOME; the administrator"])
@pytest.mark.parametrize("which", ["keycloak", "keycloak-demo"])
def test_keycloak_starts_with_what_its_files_hold(tmp_path: Path, which: str, password: str) -> None:
    """The entrypoint of compose.yml in a real bash, with a program that shows its environment for kc.sh."""
    service = SERVICES[which]
    *words, script, name = service["entrypoint"]
    script = script.replace("$$", "$").replace("/opt/keycloak/bin/kc.sh", "env -- sh -c 'env; echo \"$*\"' --")
    for secret in service["secrets"]:
        (tmp_path / secret).write_text(f"of $HOME; {secret}\n")
    (tmp_path / "KEYCLOAK_ADMIN_PASSWORD").write_text(password)
    given = {key: value.replace("/run/secrets", str(tmp_path)) for key, value in service["environment"].items()}
    done = subprocess.run(
        [*words, script.replace("/run/secrets", str(tmp_path)), name, *service["command"]],
        env={"PATH": os.environ["PATH"], **given}, capture_output=True, text=True, check=True, timeout=30,
    )  # fmt: skip
    said = done.stdout.splitlines()
    asked = {
        key: Path(value).name for key, value in service["environment"].items() if value.startswith("/run/secrets/")
    }
    for key, secret in asked.items():
        assert secret == "KEYCLOAK_ADMIN_PASSWORD" or f"{key}=of $HOME; {secret}" in said
    named = [
        line for line in said if line.startswith("KC_BOOTSTRAP_ADMIN_")
    ]  # with a name alone Keycloak does not start
    admin = ["KC_BOOTSTRAP_ADMIN_USERNAME=admin", f"KC_BOOTSTRAP_ADMIN_PASSWORD={password}"]
    assert sorted(named) == sorted(admin if password else [])
    assert said[-1].startswith("start --")


def test_grafana_does_not_start_with_the_password_that_everybody_knows(tmp_path: Path) -> None:
    *words, script = SERVICES["grafana"]["entrypoint"]
    script = script.replace("/run/secrets", str(tmp_path)).replace("/run.sh", "echo started")
    for text, started in (("\n", False), ("", False), ("random\n", True)):
        (tmp_path / "GRAFANA_ADMIN_PASSWORD").write_text(text)
        done = subprocess.run([*words, script], capture_output=True, text=True, check=False)
        assert (done.returncode == 0, "started" in done.stdout) == (started, started)


def test_the_product_needs_no_sandbox():
    """The image does not hold it, and only manage.py's commands for a developer import it."""
    asked = [
        f"{path.relative_to(ROOT)}" for folder in ("apps", "config") for path in (ROOT / folder).rglob("*.py")
        if "sandbox" not in path.parts and re.search(r"^\s*(from|import) apps\.sandbox", path.read_text(), re.MULTILINE)
    ]  # fmt: skip
    assert asked == []
    assert SERVICES["sandbox"]["volumes"] == ["./apps/sandbox:/app/apps/sandbox:ro"]


def test_migrate_is_a_service_of_its_own():
    assert "migrate" not in last("CMD")
    assert SERVICES["migrate"]["restart"] == "no"
    for name in ("web", "worker"):
        assert SERVICES[name]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}


def test_it_is_looked_after():
    assert "/health/live" in last("HEALTHCHECK")
    assert {name for name, one in SERVICES.items() if one["restart"] != "unless-stopped"} == {"migrate", "drill"}
    assert (SERVICES["web"]["stop_grace_period"], SERVICES["worker"]["stop_grace_period"]) == ("40s", "90s")


def test_only_pages_are_reachable_and_only_where_the_operator_says():
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert set(published) == {"proxy", "proxy-tls", "keycloak", "keycloak-demo", "sandbox", "grafana"}
    assert published.pop("keycloak-demo") == ["127.0.0.1:8080:8080"]  # its realm holds logins for rehearsals
    assert published.pop("proxy-tls") == ["${PUBLIC_IP:-0.0.0.0}:443:8443", "${PUBLIC_IP:-0.0.0.0}:80:8080"]
    assert SERVICES["proxy-tls"]["profiles"] == ["tls"]
    assert all(port.startswith("${TAILSCALE_IP:-127.0.0.1}:") for ports in published.values() for port in ports)
    assert SERVICES["postgres"]["networks"] == SERVICES["migrate"]["networks"] == ["inner"]
    assert {name for name, service in SERVICES.items() if "inner" in service["networks"]} == {
        "postgres",
        "migrate",
        "web",
        "worker",
        "backup",
        "drill",
    }
    assert {name for name, service in SERVICES.items() if "login" in service["networks"]} == {
        "keycloak",
        "keycloak-postgres",
        "backup",
    }
    assert COMPOSE["networks"]["inner"] == COMPOSE["networks"]["login"] == {"internal": True}


@pytest.mark.parametrize(
    "flag",
    [
        "--respawn-failed-workers", "--workers-kill-timeout 30", "--no-ws", "--http 1", "--workers 2",
        "--http1-buffer-size 16384", "--http1-header-read-timeout 5000", "--backpressure 256",
    ],
)  # fmt: skip
def test_the_server_is_told(flag):
    assert f" {flag} " in last("CMD")


# --- compose.yml, by the client ------------------------------------------------------------------------------------------


@pytest.fixture
def client() -> list[str]:
    """The client that reads compose.yml: Docker's own, or Debian's docker-compose."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]):
            asked = subprocess.run([*command, "version"], capture_output=True, check=False)
            if asked.returncode == 0:
                return command
    pytest.skip("Neither `docker compose` nor `docker-compose` is here to read compose.yml.")


def config(client: list[str], folder: Path, *options: str, **environment: str) -> dict[str, Any]:
    """compose.yml as the client understands it, with .env.example filled in as .env."""
    for name in ("compose.yml", "compose.logs.yml"):
        shutil.copy(ROOT / name, folder)
    example = (ROOT / ".env.example").read_text()
    filled = re.sub(r"^(\w+_(?:PASSWORD|SECRET))=$", r"\1=x", example, flags=re.MULTILINE)
    filled = filled.replace("=127.0.0.1\n", "=100.64.0.7\n")
    (folder / ".env").write_text(filled)
    done = subprocess.run(
        [*client, *options, "config"], cwd=folder, capture_output=True, text=True, check=False, timeout=60,
        env={"PATH": os.environ["PATH"], "HOME": str(folder)} | environment,  # what the tests set is not what an operator has
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = yaml.safe_load(done.stdout)
    return found


ALWAYS = {"proxy", "web", "worker", "migrate", "postgres"}
PROFILES = {
    "sandbox": {"sandbox"}, "tls": {"proxy-tls"}, "keycloak": {"keycloak", "keycloak-postgres"}, "first-look": {"keycloak-demo"},
    "backup": {"backup"}, "drill": {"drill"}, "monitoring": {"prometheus", "grafana"},
}  # fmt: skip


def test_what_a_house_may_have_elsewhere_is_a_profile() -> None:
    """And a Keycloak with published logins starts only for who asks for a first look."""
    assert {name for name, service in SERVICES.items() if "profiles" not in service} == ALWAYS
    for profile, names in PROFILES.items():
        assert {name for name, service in SERVICES.items() if service.get("profiles") == [profile]} == names


def test_of_three_databases_and_their_backups_one_image_is_used() -> None:
    """pg_dump has to be as new as the server."""
    assert len({SERVICES[name]["image"] for name in ("postgres", "keycloak-postgres", "backup")}) == 1


@pytest.mark.parametrize("profile", ["", *PROFILES])
def test_the_client_understands_compose(client: list[str], profile: str, tmp_path: Path) -> None:
    found = config(client, tmp_path, *(("--profile", profile) if profile else ()))["services"]
    assert set(found) >= ALWAYS | PROFILES.get(profile, set())  # Debian's client lists services of other profiles too
    assert "100.64.0.7" in str(found["proxy"]["ports"])  # TAILSCALE_IP
    assert found["web"]["environment"]["POSTGRES_HOST"] == "postgres"
    assert found["web"]["environment"]["BASE_URL"] == "https://frontdesk.example.com"  # of .env


def test_logs_of_all_services_leave_the_machine_encrypted(client: list[str], tmp_path: Path) -> None:
    """With the second file; whatever it says, no service waits for the log server."""
    files = ("-f", "compose.yml", "-f", "compose.logs.yml", "--profile", "tls")
    found = config(client, tmp_path, *files, LOG_SERVER="logs.example.com:6514")["services"]
    said = {name: service.get("logging", {}) for name, service in found.items() if name != "sandbox"}
    assert set(said) == set(SERVICES) - {"sandbox"}
    for name, logging in said.items():
        assert logging["driver"] == "syslog", name
        assert (
            logging["options"].items()
            >= {
                "syslog-address": "tcp+tls://logs.example.com:6514",
                "syslog-tls-ca-cert": "/etc/ssl/certs/ca-certificates.crt",
                "mode": "non-blocking",
            }.items()
        )
    assert found["web"]["environment"]["POSTGRES_HOST"] == "postgres"  # all else is as it was


def test_without_a_log_server_the_client_says_so(client: list[str], tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"LOG_SERVER.*is not set"):
        config(client, tmp_path, "-f", "compose.yml", "-f", "compose.logs.yml")


# --- Prometheus and Grafana ------------------------------------------------------------------------------------------------


def lent(service: str) -> dict[str, Path]:
    """The files of config/ that the service is given, by where it finds them."""
    found = (one.split(":") for one in SERVICES[service]["volumes"] if one.startswith("./"))
    return {target: ROOT / source for source, target, _ in found}


def test_prometheus_scrapes_web_with_the_key_and_reads_our_rules() -> None:
    files = lent("prometheus")
    (said,) = (
        word.partition("=")[2] for word in SERVICES["prometheus"]["command"] if word.startswith("--config.file=")
    )
    asked = yaml.safe_load(files[said].read_text())
    (job,) = asked["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["web:8000"]}]
    assert set(SERVICES["prometheus"]["networks"]) & set(SERVICES["web"]["networks"])
    assert job["authorization"]["credentials_file"] == "/run/secrets/PROMETHEUS_METRICS_API_KEY"
    rules = [files[str(Path(said).parent / name)] for name in asked["rule_files"]]
    assert f'job="{job["job_name"]}"' in rules[0].read_text()  # of the alert that the site is down
    if promtool := shutil.which("promtool"):
        subprocess.run([promtool, "check", "rules", *rules], check=True)
        subprocess.run([promtool, "check", "config", "--syntax-only", files[said]], check=True)


def test_grafana_has_the_dashboard_from_the_start_and_reads_that_prometheus() -> None:
    files = lent("grafana")
    (source,) = yaml.safe_load(files["/etc/grafana/provisioning/datasources/frontdesk.yml"].read_text())["datasources"]
    assert (source["type"], source["url"], source["isDefault"]) == ("prometheus", "http://prometheus:9090", True)
    (provider,) = yaml.safe_load(files["/etc/grafana/provisioning/dashboards/frontdesk.yml"].read_text())["providers"]
    (dashboard,) = (file for at, file in files.items() if at.startswith(provider["options"]["path"] + "/"))
    assert dashboard.name == "grafana-dashboard.json"


# --- reading a Dockerfile ------------------------------------------------------------------------------------------------


def only(text: str) -> Stage:
    (stage,) = parse(f"FROM python:3.13-slim\n{text}")
    return stage


def test_ours_is_understood_whole():
    words = {line.split()[0] for line in DOCKERFILE.splitlines() if re.match(r"[A-Z]+ ", line)}
    assert {step.word for stage in STAGES for step in stage.steps} | {"FROM"} == words
    assert [stage.name for stage in STAGES] == ["build", "1"]


def test_continued_lines_comments_flags_and_pairs_are_read():
    stage = only('RUN a \\\n# why\n  && b\nCOPY --from=x /a /b\nENV A=1 B=\'two words\'\n# end\nCMD ["a", "b c"]\n')
    run, copy, env, cmd = stage.steps
    assert (run.line, run.rest.split()) == (2, ["a", "&&", "b"])
    assert (copy.flags, copy.rest) == ({"from": "x"}, "/a /b")
    assert env.pairs() == {"A": "1", "B": "two words"}
    assert cmd.words() == ["a", "b c"]


@pytest.mark.parametrize(
    "text",
    [
        "ADD x /y", "ARG A=1", "VOLUME /x", "ONBUILD RUN x", "SHELL [\"x\"]", "STOPSIGNAL 9", "MAINTAINER x", "LABEL a=b",
        "RUN --mount=type=cache,target=/x y", "COPY --chown=1:1 a b", "RUN <<EOF\nx\nEOF", "RUN x \\", "FROM $BASE", "XRUN x",
    ],
)  # fmt: skip
def test_what_cannot_be_run_is_refused(text):
    with pytest.raises(NotUnderstood):
        only(text)


@pytest.mark.parametrize("text", ["CMD run it", 'CMD {"a": 1}', "CMD [1]"])
def test_a_command_must_be_a_list(text):
    with pytest.raises(NotUnderstood):
        only(text).steps[0].words()


@pytest.mark.parametrize("text", ["", "RUN x\nFROM y", "# nothing"])
def test_a_file_without_a_base_is_refused(text):
    with pytest.raises(NotUnderstood):
        parse(text)


@pytest.mark.parametrize(
    ("path", "out"),
    [
        (".git", True), (".env", True), (".env.example", False), ("apps/core/__pycache__", True), ("apps/core", False),
        (".mypy_cache", True), ("tests", True), ("apps/tests", False), ("manage.py", False), (".data", True),
        ("apps/sandbox", True), ("secrets", True),
    ],
)  # fmt: skip
def test_what_the_image_is_not_given(path, out):
    assert ignored((ROOT / ".dockerignore").read_text(), Path(path)) is out
