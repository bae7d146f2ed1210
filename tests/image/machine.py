"""A root folder that stands for an image: this machine's own Debian under an overlay, its CPython 3.13 at /usr/local.

Everything happens in namespaces of our own (mounts, processes, later the network), which vanish with the process that made
them: nothing of it reaches the machine. Needs root, as building an image does; `enter` says what is missing otherwise.
"""

import fcntl
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from apps.core.process_lifetime import killed_with_parent
from tests.image.dockerfile import Instruction, NotUnderstood, Stage, ignored

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # of every image
OVERLAID = ("usr", "etc", "var")
MAX_SECONDS = 300


class Impossible(Exception):
    """This machine does not allow what building an image needs."""


def enter() -> int | None:
    """Go on in a new process with mounts and processes of its own, and None; the old one gets its exit code, at its end."""
    if os.geteuid() != 0:
        raise Impossible("Only root can build an image, with or without an engine.")
    outer = os.fork()
    if outer:
        return _exit_code(outer)
    try:
        os.unshare(os.CLONE_NEWNS | os.CLONE_NEWPID)
    except OSError as error:
        sys.stderr.write(f"This machine allows no namespaces of our own: {error.strerror}." + "\n")
        os._exit(1)
    inner = os.fork()  # only a child of the one who asked lives in the new processes' namespace
    if inner:
        os._exit(_exit_code(inner))
    killed_with_parent()
    mount("--make-rprivate", "/")
    mount("-t", "proc", "proc", "/proc")
    return None


def _exit_code(child: int) -> int:
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) & 255


def alone(sysctls: dict[str, object]) -> None:
    """A network of our own, in which there is only this machine: port 8000 is free, and nobody outside is reached."""
    os.unshare(os.CLONE_NEWNET)
    with socket.socket() as probe:  # `ip link set lo up`, which a bare machine does not have
        request = struct.pack("16sH14x", b"lo", 1)
        fcntl.ioctl(probe, 0x8914, request)
    for name, value in sysctls.items():
        Path("/proc/sys", *name.split(".")).write_text(str(value))


def mount(*words: str | Path) -> None:
    """mount(8)."""
    subprocess.run(["mount", *words], check=True)


def place(folder: Path) -> None:
    """Make `folder` a file system in memory."""
    mount("-t", "tmpfs", "-o", "mode=755", "frontdesk-image", folder)


class Root:
    """One stage of the Dockerfile while it is built, and afterwards the container that runs it."""

    def __init__(self, stage: Stage, folder: Path, source: Path, others: dict[str, "Root"]) -> None:
        self.stage, self.path, self.source, self.others = stage, folder / stage.name, source, others
        self.env = {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8"}
        self.directory, self.user = "/", ""
        self._base(folder / f"{stage.name}.layers")

    # --- the base image ----------------------------------------------------------------------------------------------

    def _base(self, layers: Path) -> None:
        if not re.fullmatch(
            r"(?:docker\.io/library/)?python:3\.13(?:[.\w-]*)(?:@sha256:[0-9a-f]{64})?", self.stage.image
        ):
            raise NotUnderstood(f"Nothing here stands for the base image {self.stage.image}.")
        for name in ("tmp", "proc", "dev", "run", "root"):
            (self.path / name).mkdir(parents=True, exist_ok=True)
        (self.path / "tmp").chmod(0o1777)
        for name in OVERLAID:
            self._overlay(Path("/", name), self.path / name, layers / name)
        for name in ("bin", "sbin", "lib", "lib64"):
            if Path("/", name).is_symlink():
                (self.path / name).symlink_to(Path("/", name).readlink())
        mount("--rbind", "/dev", self.path / "dev")
        mount("-t", "proc", "proc", self.path / "proc")
        names = Path("/etc/resolv.conf").read_text()
        (self.path / "etc/resolv.conf").unlink()
        (self.path / "etc/resolv.conf").write_text(names)
        if sys.base_prefix != "/usr":
            self._overlay(Path(sys.base_prefix), self.path / "usr/local", layers / "python")
            self.do(["ldconfig"])
        self.do(["python3.13", "--version"])

    def _overlay(self, lower: Path, target: Path, layers: Path) -> None:
        for name in ("upper", "work"):
            (layers / name).mkdir(parents=True)
        target.mkdir(parents=True, exist_ok=True)
        options = f"lowerdir={lower},upperdir={layers / 'upper'},workdir={layers / 'work'}"
        try:
            mount("-t", "overlay", "overlay", "-o", options, target)
        except subprocess.CalledProcessError as error:
            raise Impossible("This machine allows no overlay mounts.") from error

    # --- the instructions --------------------------------------------------------------------------------------------

    def build(self) -> Iterator[Instruction]:
        """Carry out every instruction; yields each when it is done."""
        for step in self.stage.steps:
            getattr(self, f"_{step.word.lower()}")(step)
            yield step

    def _run(self, step: Instruction) -> None:
        self.do(step.words() if step.rest.startswith("[") else ["/bin/sh", "-c", step.rest])

    def _env(self, step: Instruction) -> None:
        for name, value in step.pairs().items():
            self.env[name] = re.sub(r"\$(\w+|\{\w+\})", lambda word: self.env.get(word[1].strip("{}"), ""), value)

    def _workdir(self, step: Instruction) -> None:
        self.directory = str(Path(self.directory, step.rest))
        self.inside(self.directory).mkdir(parents=True, exist_ok=True)

    def _user(self, step: Instruction) -> None:
        self.user = step.rest

    def _expose(self, step: Instruction) -> None:
        if not re.fullmatch(r"\d+", step.rest):
            raise NotUnderstood(f"Line {step.line}: EXPOSE must be one port.")

    def _healthcheck(self, step: Instruction) -> None:
        if not step.rest.startswith("CMD ["):
            raise NotUnderstood(f"Line {step.line}: HEALTHCHECK must be CMD and a JSON list.")

    def _entrypoint(self, step: Instruction) -> None:
        step.words()

    _cmd = _entrypoint

    def _copy(self, step: Instruction) -> None:
        *sources, target = step.rest.split()
        where = self.inside(str(Path(self.directory, target)))
        into = target.endswith(("/", ".")) or len(sources) > 1
        if step.flags.get("from", "") and step.flags["from"] not in self.others:
            self._copy_program(step, sources, where)
            return
        for name in sources:
            other = self.others[step.flags["from"]].inside(name) if "from" in step.flags else self.source / name
            if other.is_dir():
                self._copy_tree(other, where, by_rules="from" not in step.flags)
            else:
                (where if into else where.parent).mkdir(parents=True, exist_ok=True)
                shutil.copy2(other, where / other.name if into else where)

    def _copy_tree(self, folder: Path, where: Path, *, by_rules: bool) -> None:
        rules = (self.source / ".dockerignore").read_text() if by_rules else ""

        def left_out(directory: str, names: list[str]) -> set[str]:
            here = Path(directory).relative_to(folder)
            return {name for name in names if ignored(rules, here / name)}

        shutil.copytree(folder, where, symlinks=True, ignore=left_out, dirs_exist_ok=True)

    def _copy_program(self, step: Instruction, sources: list[str], where: Path) -> None:
        """uv out of its own image: the same release from the package registry."""
        found = re.fullmatch(r"ghcr\.io/astral-sh/uv:([\d.]+)(?:@sha256:[0-9a-f]{64})?", step.flags["from"])
        if not found or sources != ["/uv"]:
            raise NotUnderstood(f"Line {step.line}: nothing here stands for {step.flags['from']}.")
        release = found[1] if found[1].count(".") == 2 else f"{found[1]}.*"
        aside = self.path / "run/uv"
        command = ["uv", "pip", "install", "--quiet", "--no-deps", "--target", aside, f"uv=={release}"]
        subprocess.run(command, check=True, timeout=MAX_SECONDS)
        shutil.copy2(aside / "bin/uv", where)
        shutil.rmtree(aside)

    # --- running something in it -------------------------------------------------------------------------------------

    def inside(self, path: str) -> Path:
        """Where a path of the image lies on this machine."""
        return self.path / path.lstrip("/")

    def command(self, words: list[str]) -> list[str]:
        """`words` as the present user in the present directory: no new privileges, no capabilities, unless it is root."""
        entered = ["chroot", str(self.path), "env", f"--chdir={self.directory}"]
        if self.user:
            uid, _, gid = self.user.partition(":")
            entered += ["setpriv", f"--reuid={uid}", f"--regid={gid or uid}", "--clear-groups", "--no-new-privs"]
            entered += ["--bounding-set=-all", "--inh-caps=-all"]
        return entered + words

    def do(self, words: list[str], **env: str) -> str:
        """Run to the end; returns what it printed. RuntimeError with all it said when it fails."""
        done = subprocess.run(
            self.command(words), env=self.env | env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, check=False, timeout=MAX_SECONDS,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"`{' '.join(words)[:300]}` ended with {done.returncode}:\n{done.stdout[-4000:]}")
        return done.stdout

    def lend(self, folder: Path, at: str) -> None:
        """Show a folder or a socket of this machine inside."""
        target = self.inside(at)
        target.parent.mkdir(parents=True, exist_ok=True)
        if folder.is_dir():
            target.mkdir(exist_ok=True)
        else:
            target.touch()
        mount("--bind", folder, target)

    def freeze(self, *, tmpfs: list[str]) -> None:
        """`read_only: true` and `tmpfs` of compose.yml: from here on only these folders take writes."""
        mount("--rbind", self.path, self.path)
        mounted = [self.path / name for name in (*OVERLAID, "usr/local")]
        for point in [self.path, *(point for point in mounted if point.is_mount())]:
            mount("-o", "remount,bind,ro", point)
        for wish in tmpfs:
            where, _, options = wish.partition(":")
            mount("-t", "tmpfs", "-o", f"mode=1777,{options}".rstrip(","), "tmpfs", self.inside(where))
