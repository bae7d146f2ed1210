"""The files that `manage.py setup` keeps: `.env`, and a file in `secrets/` for each secret that compose.yml lends to a service.

Promises: a file is replaced as a whole or not at all; lines of `.env` that it does not know stay; secrets are never in both places.
"""

import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

LINE = re.compile(r"^#?([A-Z][A-Z0-9_]*)=(.*)$")
SIGNS = re.compile(r"[\s#$'\"\\]")
LENT = re.compile(r"\{file: \./secrets/([A-Z_]+)\}")
FOLDER, EVERYBODY, OWN = 0o700, 0o444, 0o600  # the folder is its owner's alone; the containers' users read the files


def lent_secrets(project: Path) -> list[str]:
    """The secrets that compose.yml has as files."""
    return LENT.findall((project / "compose.yml").read_text(encoding="utf-8"))


def read(folder: Path) -> dict[str, str]:
    """What `.env` and `secrets/` say now; empty values are left out."""
    values = read_lines(folder / ".env")
    for file in sorted((folder / "secrets").glob("[A-Z]*")) if (folder / "secrets").is_dir() else ():
        if text := file.read_text(encoding="utf-8").strip():
            values.setdefault(file.name, text)  # what somebody wrote into .env is newer
    return values


def read_lines(file: Path) -> dict[str, str]:
    """The variables that a file of NAME=value lines sets."""
    found: dict[str, str] = {}
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else ():
        match = LINE.match(line.strip())
        if match and not line.lstrip().startswith("#") and match[2].strip():
            found[match[1]] = _unquoted(match[2].strip())
    return found


def _unquoted(value: str) -> str:
    quote = value[:1]
    if quote not in {"'", '"'} or len(value) == 1 or not value.endswith(quote):
        return value
    return value[1:-1] if quote == "'" else re.sub(r'\\([\\"$])', r"\1", value[1:-1])


def _quoted(value: str) -> str:
    """As compose and systemd read it alike."""
    if not SIGNS.search(value):
        return value
    return f"'{value}'" if "'" not in value else '"' + re.sub(r'([\\"$])', r"\\\1", value) + '"'


def write(folder: Path, values: Mapping[str, str], *, project: Path) -> list[Path]:
    """Write these values; returns the files that changed. `project`: where .env.example and compose.yml are."""
    folder.mkdir(mode=FOLDER, parents=True, exist_ok=True)
    lent = lent_secrets(project)
    env = folder / ".env"
    there = read_lines(env)
    lines = (env if env.exists() else project / ".env.example").read_text(encoding="utf-8").splitlines()
    changed_values = {name: value for name, value in values.items() if name not in lent and value != there.get(name)}
    plain = {name: _quoted(value) for name, value in changed_values.items()} | dict.fromkeys(lent, "")
    changed = [env] if _replace(env, "\n".join(_with(lines, plain)) + "\n", OWN) else []
    (folder / "secrets").mkdir(mode=FOLDER, exist_ok=True)
    for name in lent:
        file = folder / "secrets" / name
        if (name in values or not file.exists()) and _replace(file, f"{values.get(name, '')}\n", EVERYBODY):
            changed.append(file)
    return changed


def _with(lines: list[str], values: Mapping[str, str]) -> list[str]:
    """The lines with these values where their names stand (or a line that is commented out), the others at the end."""
    left, found = dict(values), []
    set_already = {match[1] for line in lines if (match := LINE.match(line)) and not line.startswith("#")}
    for line in lines:
        match = LINE.match(line)
        name = match[1] if match else ""
        if name in left and (not line.startswith("#") or (name not in set_already and left[name])):
            found.append(f"{name}={left.pop(name)}")
        else:
            found.append(line)
    return [*found, *(f"{name}={value}" for name, value in left.items() if value and name not in set_already)]


def _replace(file: Path, text: str, mode: int) -> bool:
    """Whether the file says something else now."""
    if file.exists() and file.read_text(encoding="utf-8") == text:
        return False
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    with os.fdopen(handle, "w", encoding="utf-8") as new:
        new.write(text)
        new.flush()
        os.fsync(new.fileno())
    Path(name).chmod(mode)
    Path(name).replace(file)
    return True
