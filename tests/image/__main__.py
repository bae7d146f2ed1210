"""`python -m tests.image`: build the image of the Dockerfile without an engine and run it as compose.yml says.

Every step of every stage is run in a root folder of its own. Then `migrate`, `web` and `worker` are started from it, with
a read-only root, as the image's user, against the embedded Postgres, in a network without an outside; `/health/` has to
become 200, the image's own health check has to pass, a backup has to come back whole in a restore drill, and SIGTERM has to end
both in their time.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import yaml

from apps.sandbox.run import postgres, postgres_programs
from tests.image import machine
from tests.image.dockerfile import NotUnderstood, Stage, parse
from tests.image.machine import Impossible, Root

SOURCE = Path(__file__).resolve().parents[2]
DATA = SOURCE / ".data" / "image-postgres"
SITE, SANDBOX = "http://127.0.0.1:8000", "http://127.0.0.1:8001"
METRICS = "image-0123456789-abcdefghijklmnopqrstuvwxyz"
ENVIRONMENT = {  # what .env holds; nobody of these is there to answer
    "DJANGO_SECRET_KEY": "image-0123456789-abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "BASE_URL": SITE, "POSTGRES_HOST": "/run/postgres", "POSTGRES_DB": postgres.NAME, "POSTGRES_USER": postgres.NAME,
    "POSTGRES_PASSWORD": "not-asked-for", "KEYCLOAK_SERVER_URL": "https://id.example.com", "KEYCLOAK_REALM": "frontdesk",
    "OIDC_RP_CLIENT_ID": "frontdesk-web", "OIDC_RP_CLIENT_SECRET": "image-oidc",
    "KEYCLOAK_ADMIN_CLIENT_ID": "frontdesk-sync", "KEYCLOAK_ADMIN_CLIENT_SECRET": "image-admin",
    "STRIPE_SECRET_KEY": "sk_test_000000000000000000000000", "STRIPE_PUBLISHABLE_KEY": "pk_test_000000000000000000000000",
    "STRIPE_WEBHOOK_SECRET": "whsec_0123456789abcdef0123456789abcdef", "MAILGUN_API_KEY": "image-mailgun",
    "PROMETHEUS_METRICS_API_KEY": METRICS,
}  # fmt: skip


def say(text: str) -> None:
    """A line for whoever watches."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """0 when every step was run and the container served; 1 with a sentence otherwise."""
    began = time.monotonic()
    try:
        stages = parse((SOURCE / "Dockerfile").read_text())
        postgres.stop(DATA, remove=True)  # of a run that was killed
        socket = Path(postgres.start(DATA, durable=False), ".s.PGSQL.5432")
        code = machine.enter()
    except (Impossible, NotUnderstood) as error:
        say(f"The image was not built: {error}")
        code = 0 if isinstance(error, Impossible) and os.geteuid() else 1
    if code is not None:
        postgres.stop(DATA, remove=True)
        return code
    socket.chmod(0o777)  # in the container another user asks
    with tempfile.TemporaryDirectory(prefix="frontdesk-image-") as folder:
        machine.place(Path(folder))
        try:
            _build_and_serve(stages, Path(folder), socket, began)
        except (Impossible, NotUnderstood, RuntimeError, subprocess.SubprocessError) as error:
            say(f"\nThe image does not work: {error}")
            return 1
        finally:  # what is mounted goes with us, and the folder can be deleted
            subprocess.run(["umount", "--lazy", folder], check=False)
    return 0


def _build_and_serve(stages: list[Stage], folder: Path, socket: Path, began: float) -> None:
    roots: dict[str, Root] = {}
    for stage in stages:
        roots[stage.name] = _build(Root(stage, folder, SOURCE, roots), began)
    serve(roots[stages[-1].name], socket, began)


def _build(root: Root, began: float) -> Root:
    if root.stage.steps and root.stage.name == "build":
        cache = subprocess.run(["uv", "cache", "dir"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
        Path(cache).mkdir(parents=True, exist_ok=True)
        root.lend(Path(cache), f"{root.env['HOME']}/.cache/uv")
    for step in root.build():
        said = " ".join(f"{step.word} {step.rest}".split())
        say(f"[{time.monotonic() - began:5.1f} s] {root.stage.name}: {said[:110]}")
    return root


def serve(root: Root, socket: Path, began: float) -> None:
    """Run the services of compose.yml that are made of this image; RuntimeError when one does not do its work."""
    services: dict[str, Any] = yaml.safe_load((SOURCE / "compose.yml").read_text())["services"]
    machine.alone(services["web"].get("sysctls", {}))
    root.lend(socket, "/run/postgres/.s.PGSQL.5432")
    root.lend(SOURCE / "apps/sandbox", "/app/apps/sandbox")
    signing = root.path.parent / "STRIPE_WEBHOOK_SECRET"
    signing.write_text(ENVIRONMENT["STRIPE_WEBHOOK_SECRET"])
    root.lend(signing, "/run/secrets/STRIPE_WEBHOOK_SECRET")
    read_only = bool(services["web"].get("read_only"))
    if read_only:
        root.freeze(tmpfs=services["web"]["tmpfs"])
    _expect_unprivileged(root, read_only=read_only)
    root.do(services["migrate"]["command"], **ENVIRONMENT)
    say(f"[{time.monotonic() - began:5.1f} s] migrated")
    entry, command = root.stage.last("ENTRYPOINT"), root.stage.last("CMD")
    if not entry or not command:
        raise NotUnderstood("The last stage has no ENTRYPOINT or no CMD.")
    running = {
        "web": _start(root, "web", entry.words() + command.words()),
        "worker": _start(root, "worker", entry.words() + services["worker"]["command"]),
        "sandbox": _start(root, "sandbox", entry.words() + services["sandbox"]["command"]),
    }
    try:
        _until_healthy(running)
        say(f"[{time.monotonic() - began:5.1f} s] /health/ is 200")
        _look_at(root)
        _drill(root, services["drill"]["command"], socket)
        say(f"[{time.monotonic() - began:5.1f} s] backed up, restored and judged")
    except RuntimeError as error:
        logs = "".join(f"\n--- {name}:\n{(root.path.parent / f'{name}.log').read_text()[-3000:]}" for name in running)
        raise RuntimeError(f"{error}{logs}") from error  # what still runs is killed with us
    for name, process in running.items():
        _stop(name, process, float(services[name].get("stop_grace_period", "10s").rstrip("s")))
    say(f"[{time.monotonic() - began:5.1f} s] stopped")


def _start(root: Root, name: str, words: list[str]) -> subprocess.Popen[bytes]:
    log = root.path.parent / f"{name}.log"
    environment = root.env | ENVIRONMENT | {"TINI_SUBREAPER": "1"}  # in a container it is the first process
    with log.open("wb") as said:
        return subprocess.Popen(
            root.command(words), env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said
        )


LOOK = """
import os
print(os.getuid(), os.getgid(), os.getgroups(), [os.statvfs(path).f_flag & os.ST_RDONLY for path in ("/", "/app", "/usr", "/etc", "/var")])
print(*(line.strip() for line in open("/proc/self/status") if line.startswith(("CapEff", "CapBnd", "NoNewPrivs"))))
open("/tmp/written", "w").close()
"""


def _expect_unprivileged(root: Root, *, read_only: bool) -> None:
    """Whoever the image runs as may do nothing but read, and write below /tmp."""
    said = root.do(["python", "-c", LOOK])
    user = f"{root.user.replace(':', ' ')} [] {[int(read_only)] * 5}"
    rights = "CapEff:\t0000000000000000 CapBnd:\t0000000000000000 NoNewPrivs:\t1"
    if not all(int(number) >= 10_000 for number in root.user.split(":")) or said.split("\n")[0] != user:
        raise RuntimeError(f"The image's user is not what it should be: {said}")
    if sorted(said.split("\n")[1].split()) != sorted(rights.split()):
        raise RuntimeError(f"The image's user has rights: {said}")


def _until_healthy(running: dict[str, subprocess.Popen[bytes]]) -> None:
    deadline = time.monotonic() + 90
    while (answer := _get("/health/"))[0] != 200 or _get("/control/clock", SANDBOX)[0] != 200:
        ended = [name for name, process in running.items() if process.poll() is not None]
        if ended or time.monotonic() > deadline:
            raise RuntimeError(f"/health/ did not become 200 ({answer[1][:200]}); ended: {ended}.")
        time.sleep(0.2)


def _look_at(root: Root) -> None:
    """What a container has to show while it runs: its own check, its pages with hashed files, its counters."""
    check = root.stage.last("HEALTHCHECK")
    if not check:
        raise NotUnderstood("The last stage has no HEALTHCHECK.")
    words = yaml.safe_load(check.rest.removeprefix("CMD "))
    root.do(words)
    status, page = _get("/onboarding/waitlist/")
    style = re.search(r'href="(/static/[^"]+\.[0-9a-f]{12}\.css)"', page)
    if status != 200 or not style or _get(style[1])[0] != 200:
        raise RuntimeError(f"The page answered {status}, or its hashed style sheet is not there.")
    status, text = _get("/metrics", Authorization=f"Bearer {METRICS}")
    if status != 200 or "frontdesk_jobs" not in text:
        raise RuntimeError(f"/metrics answered {status}.")


def _drill(root: Root, command: list[str], socket: Path) -> None:
    """A backup by the script, with Postgres' own programs as its image has them; the image judges what it brings back."""
    script = SOURCE / "config/backup/frontdesk-backup"
    programs = postgres_programs.program("pg_dump", socket.parent.parent).parent
    with tempfile.TemporaryDirectory() as folder:
        given = {
            "PATH": f"{programs}:{os.environ['PATH']}", "POSTGRES_HOST": str(socket.parent), "POSTGRES_USER": postgres.NAME,
            "POSTGRES_DB": postgres.NAME, "BACKUP_FOLDER": folder,
        }  # fmt: skip
        for word in ("make", "restore"):
            subprocess.run([str(script), word], env=given, check=True)
        root.do(command, **ENVIRONMENT)
        subprocess.run([str(script), "drop"], env=given, check=True)


def _get(path: str, site: str = SITE, **headers: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(urllib.request.Request(site + path, headers=headers), timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def _stop(name: str, process: subprocess.Popen[bytes], seconds: float) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        code = process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        raise RuntimeError(f"{name} did not stop within its {seconds:.0f} s.") from None
    if code not in {0, 143}:
        raise RuntimeError(f"{name} ended with {code}.")


if __name__ == "__main__":
    sys.exit(main())
