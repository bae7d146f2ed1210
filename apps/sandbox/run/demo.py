"""`manage.py demo`: the whole of Frontdesk on this machine, with stand-ins for Stripe, Keycloak and Mailgun.

`--keycloak real` uses a real Keycloak instead of its stand-in (demo_keycloak.py). Starts the sandbox, Postgres and the site
(site.py: web server and worker) as processes in the foreground, and stops them all on Ctrl-C. Nothing in here is read by the
application; it sees only the environment that `environment` returns.
"""

import argparse
import errno
import fcntl
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import IO

from apps.core.process_lifetime import stopped_with_parent
from apps.sandbox.run import postgres
from apps.sandbox.run.demo_environment import environment
from apps.sandbox.run.demo_keycloak import RealKeycloak
from apps.sandbox.run.history import write_history
from apps.sandbox.run.keycloak_distribution import KeycloakServerError
from apps.sandbox.run.populated import PopulateError, Population
from apps.sandbox.run.postgres_programs import PostgresError
from apps.sandbox.run.servers import answers
from apps.sandbox.walk_browser import WalkError

ROOT = Path(__file__).resolve().parents[3]
STARTUP_SECONDS, STOP_SECONDS = 240, 20
INTERRUPTS = (signal.SIGINT, signal.SIGTERM)
PASSWORD = "correct horse battery"  # noqa: S105  (of the people in the demo's realm file)


class DemoError(Exception):
    """The demo cannot start or continue; the message is for the person at the terminal."""


def run(arguments: list[str]) -> int:
    """Run the demo for the given command-line arguments; returns the exit code."""
    options = _parser().parse_args(arguments)
    data = options.data.resolve()
    demo = Demo(data=data, port=options.port, sandbox_port=options.sandbox_port)
    if options.keycloak == "real":
        demo.keycloak = RealKeycloak(folder=data / "keycloak", port=options.keycloak_port, site=demo.site)
    for interrupt in INTERRUPTS:
        signal.signal(interrupt, _interrupt)
    try:
        demo.claim()
        if options.reset:
            demo.reset()
        if options.populate:
            demo.prepare_population()
        demo.start()
        return demo.walk() if options.walk else demo.show()
    except (DemoError, PostgresError, KeycloakServerError, WalkError, PopulateError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        demo.stop()


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    """The first one stops the demo; a second, impatient one must not leave half of it running."""
    for interrupt in INTERRUPTS:
        signal.signal(interrupt, signal.SIG_IGN)
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="manage.py demo", description="Run all of Frontdesk on this machine.")
    parser.add_argument("--port", type=_port, default=8000, help="the site's port (8000)")
    parser.add_argument("--sandbox-port", type=_port, default=8001, help="the sandbox's port (8001)")
    parser.add_argument(
        "--keycloak", choices=["sandbox", "real"], default="sandbox", help="the stand-in, or a real Keycloak"
    )
    parser.add_argument(
        "--keycloak-port", type=_port, default=8002, help="the real Keycloak's port (8002); its mail uses the next one"
    )
    parser.add_argument("--data", type=Path, default=ROOT / ".data" / "demo", help="where all data is kept")
    parser.add_argument("--reset", action="store_true", help="delete all data, then start")
    parser.add_argument(
        "--populate", action="store_true", help="a year of sixty people in all states; with --reset, or the first time"
    )
    parser.add_argument("--walk", action="store_true", help="walk one customer from sign-up to recovery, then stop")
    return parser


def _port(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port number between 1 and 65535")
    return number


class Demo:
    """The processes of one demo, and the folder they keep their data in.

    `database` are the POSTGRES_* variables of a server to use; without them the demo runs one of its own in `data`.
    `variables` of the environment go before the demo's own. `root`: the checkout that runs.
    """

    root = ROOT

    def __init__(
        self,
        *,
        data: Path,
        port: int,
        sandbox_port: int,
        database: dict[str, str] | None = None,
        variables: dict[str, str] | None = None,
    ) -> None:
        self.data, self.port, self.sandbox_port, self.database = data, port, sandbox_port, database
        self.variables = variables or {}
        self.site = f"http://localhost:{port}"
        self.sandbox = f"http://localhost:{sandbox_port}"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.env: dict[str, str] = {}
        self.began = time.monotonic()
        self.lock: IO[str] | None = None
        self.keycloak: RealKeycloak | None = None
        self.population: Population | None = None
        self.postgres_options: dict[str, str] = {}

    def claim(self) -> None:
        """Make sure that ports and data are ours alone; DemoError says what is in the way. Nothing is started yet."""
        if self.port == self.sandbox_port:
            raise DemoError(f"The site and the sandbox need different ports; both are {self.port}.")
        ports = [("--port", self.port), ("--sandbox-port", self.sandbox_port)]
        if self.keycloak is not None:
            if reason := self.keycloak.missing():
                raise DemoError(reason)
            ports += [("--keycloak-port", port) for port in self.keycloak.ports]
        for name, port in ports:
            _refuse_taken_port(name, port)
        try:
            self.data.mkdir(parents=True, exist_ok=True)
            self.lock = (self.data / "lock").open("a")
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.lock = None
            raise DemoError(
                f"Another demo is using {self.data}. Stop it or choose another folder with --data."
            ) from error
        except OSError as error:
            raise DemoError(
                f"{self.data} cannot be used: {error.strerror}. Choose another folder with --data."
            ) from error

    def reset(self) -> None:
        """Forget the database, the sandbox's state and the logs."""
        postgres.stop(self.data / "postgres", remove=True)
        for path in self.data.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != "lock":
                path.unlink()

    def prepare_population(self) -> None:
        """Make a new folder begin a year ago, or with the year that another demo has lived. Raises PopulateError."""
        self.population = Population(self.data, (self.port, self.sandbox_port), may_be_kept=self.keycloak is None)
        self.population.prepare()
        self.variables |= self.population.variables

    def start(self) -> None:
        """Start everything in order of dependency, printing each step."""
        self.start_peers()
        self._say("Database tables and demo catalog (slowest the first time), web server and worker")
        self._launch("site", [sys.executable, "-m", "apps.sandbox.run.site", str(self.port), str(self.data)])
        self._until("site", lambda: answers(f"{self.site}/health/"))

    def start_peers(self) -> None:
        """All that web and worker need: the stand-ins and the database."""
        self._say("Sandbox: stand-ins for Stripe, Keycloak and Mailgun")
        self.env = environment(data=self.data, site=self.site, sandbox=self.sandbox) | self.variables
        self.env["RESTORE_MARKER_FILE"] = str(self.data / "restore-marker")
        sandbox = ["--port", str(self.sandbox_port), "--data", str(self.data / "sandbox")]
        sandbox += ["--webhook-url", f"{self.site}/onboarding/webhook/"]
        sandbox += ["--mailgun-webhook-url", f"{self.site}/mailgun/webhook/"]
        sandbox += ["--mailgun-signing-key", self.env["MAILGUN_WEBHOOK_SIGNING_KEY"]]
        if self.keycloak is not None:
            sandbox += ["--smtp-port", str(self.keycloak.mail_port)]
        sandbox += [
            "--webhook-secret",
            self.env["STRIPE_WEBHOOK_SECRET"],
            "--clock-file",
            self.env["CLOCK_OFFSET_FILE"],
        ]
        self._launch("sandbox", [sys.executable, "-m", "apps.sandbox", *sandbox])
        self._say("Postgres")
        self.env |= self._postgres()
        if self.population:
            self.population.fill(self.env["POSTGRES_HOST"])
        self._real_keycloak()
        self._until("sandbox", lambda: answers(f"{self.sandbox}/control/clock"))

    def _real_keycloak(self) -> None:
        """Put a real Keycloak in the place of the stand-in, if it was asked for."""
        if self.keycloak is None:
            return
        if self.keycloak.made_for_others():
            raise DemoError(
                "The Keycloak stored here was set up for other ports. Use those, or start over with --reset."
            )
        self._say("A real Keycloak (about a minute; downloaded the first time)")
        self.env |= self.keycloak.start(clock=Path(self.env["CLOCK_OFFSET_FILE"]))

    def write_history(self) -> None:
        """Give the Stripe account a past, once."""
        written = self.data / "history"
        if not written.exists():
            self._say("Now a past for the Stripe account: other customers, a discount, a dispute, an invoice by mail")
            write_history(site=self.site, sandbox=self.sandbox, keycloak=self.env["KEYCLOAK_SERVER_URL"])
            written.touch()

    def show(self) -> int:
        """Say where everything is, write its past, and watch it until Ctrl-C."""
        print(_welcome(self.site, self.sandbox, time.monotonic() - self.began), flush=True)
        if self.population:
            self._say(self.population.announcement)
            self.population.complete(env=self.env, root=self.root)
        else:
            self.write_history()
        return self.wait()

    def wait(self) -> int:
        """Watch the processes until Ctrl-C; DemoError if one of them stops unexpectedly."""
        while True:
            self._check()
            time.sleep(0.5)

    def walk(self) -> int:
        """Walk one customer through everything over HTTP; 0 if every check passed."""
        command = [sys.executable, "-m", "apps.sandbox.walk", "--site", self.site, "--sandbox", self.sandbox]
        command += ["--keycloak", self.env["KEYCLOAK_SERVER_URL"]]
        return subprocess.run(command, cwd=self.root, env=self.env, check=False).returncode

    def stop(self) -> None:
        """Let every process finish what it does, the sandbox after those that call it, then stop Postgres."""
        if self.lock is None:  # nothing was started
            return
        print("Stopping.", flush=True)
        _end([self.processes[name] for name in ("site",) if name in self.processes])
        if self.keycloak is not None:
            self.keycloak.stop()
        _end([self.processes[name] for name in ("sandbox",) if name in self.processes])
        if self.database is None:
            postgres.stop(self.data / "postgres")
        self.lock.close()
        self.lock = None

    def _postgres(self) -> dict[str, str]:
        """The POSTGRES_* variables; starts the server if it is ours."""
        if self.database is not None:
            return self.database
        return {
            "POSTGRES_HOST": postgres.start(self.data / "postgres", options=self.postgres_options),
            "POSTGRES_PORT": "5432",
            "POSTGRES_DB": postgres.NAME,
            "POSTGRES_USER": postgres.NAME,
            "POSTGRES_PASSWORD": "not-asked-for",
        }

    def _say(self, text: str) -> None:
        print(f"[{time.monotonic() - self.began:5.1f} s] {text}", flush=True)

    def _launch(self, name: str, command: list[str]) -> None:
        """Start a process of its own group, so that Ctrl-C reaches only us and we stop them in order."""
        with (self.data / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                command, cwd=self.root, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, preexec_fn=stopped_with_parent,  # noqa: PLW1509  (one call into libc; we have no threads)
            )  # fmt: skip

    def _until(self, name: str, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + STARTUP_SECONDS
        while not ready():
            self._check()
            if time.monotonic() > deadline:
                raise DemoError(f"The {name} did not start within {STARTUP_SECONDS} s; see {self.data / name}.log.")
            time.sleep(0.1)

    def _check(self) -> None:
        for name, process in self.processes.items():
            if process.poll() is not None:
                raise DemoError(f"The {name} stopped (code {process.returncode}); see {self.data / name}.log.")


def _refuse_taken_port(option: str, port: int) -> None:
    """DemoError when `localhost:port` is somebody else's, whichever kind of address a browser takes first."""
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except PermissionError as error:
                raise DemoError(f"Port {port} needs more privileges. Choose another with {option}.") from error
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    raise DemoError(
                        f"Port {port} is in use. Stop that program or choose another with {option}."
                    ) from error


def _end(processes: list[subprocess.Popen[bytes]]) -> None:
    """Ask all to stop, and make those stop that do not."""
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    for process in processes:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _welcome(site: str, sandbox: str, seconds: float) -> str:
    return f"""
Frontdesk is running (started in {seconds:.0f} s). Nothing here costs real money or sends real email.

  Sign up as a customer      {site}/onboarding/      (pay with 4242 4242 4242 4242)
  Read the emails            {sandbox}/inbox/
  Log in as a customer       {site}/dashboard/
  The staff console          {site}/admin/           admin.ada or support.sam, password: {PASSWORD}
  The sandbox                {sandbox}/              clock, faults, webhooks, state

Ctrl-C stops everything; your data is kept for next time (--reset deletes it).
"""
