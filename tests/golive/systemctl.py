"""Stands in for systemd on a machine that has another first process: starts what a unit says, as its user, with its credentials.

Of a unit it obeys ExecStartPre, ExecStart, Type=oneshot, Wants, User, WorkingDirectory, Environment, EnvironmentFile, UnsetEnvironment,
LoadCredential, RuntimeDirectory, StateDirectory, NoNewPrivileges and the folders of drop-ins; what isolates a service further is left out.
"""

import contextlib
import os
import pwd
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

UNITS, STATE = Path("/etc/systemd/system"), Path("/run/units")
SECONDS = 120


def settings_of(unit: str) -> dict[str, list[str]]:
    """Each setting with all its values, the drop-ins after the unit."""
    beginning = f"{unit.split('-')[0]}-.service.d"
    files = [UNITS / f"{unit}.service", *sorted((UNITS / beginning).glob("*.conf"))]
    found: dict[str, list[str]] = {}
    for file in files:
        for line in file.read_text().splitlines():
            if match := re.match(r"(\w+)=(.*)", line):
                found.setdefault(match[1], []).append(match[2])
    return found


def environment(given: dict[str, list[str]], credentials: Path, user: pwd.struct_passwd) -> dict[str, str]:
    """As systemd.exec(5) says: a file is stronger than a line of the unit."""
    env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", "LANG": "C.UTF-8", "USER": user.pw_name}
    env |= {
        "LOGNAME": user.pw_name,
        "HOME": user.pw_dir,
        "SHELL": user.pw_shell,
        "CREDENTIALS_DIRECTORY": str(credentials),
    }
    for line in given.get("Environment", []):
        env |= dict(one.split("=", 1) for one in shlex.split(line.replace("%d", str(credentials))))
    for name in given.get("EnvironmentFile", []):
        for line in Path(name).read_text().splitlines():
            if re.match(r"[A-Za-z_]\w*=", line):
                key, _, value = line.partition("=")
                env[key] = "".join(shlex.split(value)) if value[:1] in {"'", '"'} else value.strip()
    for name in " ".join(given.get("UnsetEnvironment", [])).split():
        env.pop(name, None)
    return env


def make_folders(given: dict[str, list[str]], user: pwd.struct_passwd) -> dict[str, str]:
    """Those of a unit, which are its user's, as variables."""
    env = {}
    for kind, base in (("RuntimeDirectory", "/run"), ("StateDirectory", "/var/lib")):
        for name in given.get(kind, []):
            folder = Path(base, name)
            env["RUNTIME_DIRECTORY" if base == "/run" else "STATE_DIRECTORY"] = str(folder)
            if kind == "RuntimeDirectory":
                shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True, exist_ok=True)
            shutil.chown(folder, user.pw_uid, user.pw_gid)
    return env


def start(unit: str) -> int:
    """0 when a oneshot has ended well, or another has begun."""
    given = settings_of(unit)
    for name in " ".join(given.get("Wants", [])).split():
        other = name.removesuffix(".service")
        if (UNITS / name).exists() and not (STATE / other).exists():
            start(other)
    user = pwd.getpwnam(given["User"][-1])
    credentials = lend_credentials(unit, given, user)
    env = environment(given, credentials, user) | make_folders(given, user)
    as_user = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--init-groups", "--no-new-privs"]
    commands = [one.replace("%d", str(credentials)) for one in (*given.get("ExecStartPre", []), *given["ExecStart"])]
    is_oneshot = given.get("Type") == ["oneshot"]
    log = Path("/var/log", f"{unit}.log")
    for number, command in enumerate(commands, 1):
        with log.open("ab") as said:
            process = subprocess.Popen(
                [*as_user, *shlex.split(command)], cwd=given.get("WorkingDirectory", ["/"])[-1], env=env, stdin=subprocess.DEVNULL, stdout=said,
                stderr=said, start_new_session=True, umask=0o077,
            )  # fmt: skip
        if (is_oneshot or number < len(commands)) and process.wait():
            sys.stderr.write(f"Job for {unit}.service failed.\n{log.read_text()[-3000:]}\n")
            return 1
    STATE.mkdir(exist_ok=True)
    (STATE / unit).write_text("" if is_oneshot else str(process.pid))
    return 0


def lend_credentials(unit: str, given: dict[str, list[str]], user: pwd.struct_passwd) -> Path:
    """The folder with copies that only the service's user reads."""
    folder = Path("/run/credentials", f"{unit}.service")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for line in given.get("LoadCredential", []):
        name, _, file = line.partition(":")
        shutil.copy(file, folder / name)
        (folder / name).chmod(0o400)
        shutil.chown(folder / name, user.pw_uid, user.pw_gid)
    folder.chmod(0o500)
    shutil.chown(folder, user.pw_uid, user.pw_gid)
    return folder


def is_running(unit: str) -> bool:
    """Whether its process is there."""
    if not (STATE / unit).exists():
        return False
    pid = (STATE / unit).read_text()
    with contextlib.suppress(OSError):
        return not pid or Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def stop(unit: str) -> int:
    """Ask it to end, and wait."""
    if is_running(unit) and (pid := (STATE / unit).read_text()):
        os.kill(int(pid), signal.SIGTERM)
        deadline = time.monotonic() + SECONDS
        while is_running(unit) and time.monotonic() < deadline:
            time.sleep(0.1)
    (STATE / unit).unlink(missing_ok=True)
    return 0


def nginx() -> int:
    """Debian's own service."""
    runs = Path("/run/nginx.pid").exists()
    if subprocess.run(["nginx", "-t", "-q"], check=False).returncode:
        return 1
    words = ["nginx", "-s", "reload"] if runs else ["nginx"]
    return subprocess.run(words, check=False).returncode


def main(words: list[str]) -> int:
    """The verbs that the manual uses."""
    verb, *units = [word for word in words if not word.startswith("-")]
    if verb == "daemon-reload":
        return 0
    code = 0
    for unit in units:
        name = unit.removesuffix(".service").strip("'")
        if name == "nginx":
            code |= nginx()
        elif name.endswith(".timer"):
            code |= not (UNITS / name).exists()
        elif verb == "status":
            for one in sorted(UNITS.glob(f"{name}.service")):
                sys.stdout.write(f"{one.stem}: {'active' if is_running(one.stem) else 'failed'}\n")
                code |= 0 if is_running(one.stem) else 3
        else:
            code |= stop(name) if verb in {"stop", "restart"} else 0
            code |= 0 if verb == "stop" or is_running(name) else start(name)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
