"""The demo's site, `python -m apps.sandbox.run.site PORT FOLDER`: web server and worker, from one load of the application.

Elsewhere they are two commands, `python -m config.serve` and `manage.py worker`. This process only watches them: when one
of them ends, or on SIGTERM, it ends the other too. Their logs are in FOLDER.
"""

import functools
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.context import ForkProcess
from pathlib import Path

from django.core.management import call_command

import config.wsgi  # noqa: F401  (sets Django up)
from apps.core.egress import restrict_calls
from apps.core.preload import preload
from apps.core.process_lifetime import stopped_with_parent
from apps.core.worker import Watchdog
from apps.sandbox.run.servers import WEB, WEB_APPLICATION
from config import serve

STOP_SECONDS = 15


def main(port: int, folder: Path) -> int:
    """Prepare the database, then run both; 0 when told to stop, 1 when one of them ended by itself."""
    prepare = functools.partial(call_command, "demo_prepare", products=os.environ["SANDBOX_BASE_URL"])
    prepared = _fork(prepare, folder / "prepare.log")  # what it needs ends with it
    prepared.join()
    if prepared.exitcode:
        return 1
    preload()
    restrict_calls()  # as both commands do
    stopped: list[int] = []
    parts = [
        _fork(lambda: _serve(port), folder / "web.log"),
        _fork(lambda: Watchdog().watch(), folder / "worker.log"),
    ]
    signal.signal(signal.SIGTERM, lambda number, _frame: stopped.append(number))
    while not stopped and all(part.is_alive() for part in parts):
        time.sleep(0.2)
    _end(parts)
    return 0 if stopped else 1


def _fork(work: Callable[[], object], log: Path) -> ForkProcess:
    process = multiprocessing.get_context("fork").Process(target=_run, args=(work, log))
    process.start()
    return process


def _run(work: Callable[[], object], log: Path) -> None:
    stopped_with_parent()
    with log.open("ab") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    work()


def _serve(port: int) -> None:
    options = f"{WEB} --port {port} --respawn-failed-workers --workers-kill-timeout 10 {WEB_APPLICATION}"
    sys.argv[1:] = options.split()
    serve.main()


def _end(parts: list[ForkProcess]) -> None:
    """Ask both to stop, and make those stop that do not."""
    for part in parts:
        part.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    for part in parts:
        part.join(max(0.0, deadline - time.monotonic()))
        part.kill()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), Path(sys.argv[2])))
