"""Reads a Dockerfile into its instructions. What is not understood here is refused, never passed over: a step that is not
run proves nothing.
"""

import fnmatch
import json
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

KNOWN = {"FROM", "RUN", "COPY", "ENV", "WORKDIR", "USER", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD"}
FLAGS = {"COPY": {"from"}, "HEALTHCHECK": {"interval", "timeout", "start-period", "retries"}}


class NotUnderstood(Exception):
    """The Dockerfile holds something we cannot run as an engine would."""


@dataclass(frozen=True)
class Instruction:
    """One instruction: its word, its flags and the rest of its line, continued lines joined."""

    line: int
    word: str
    flags: dict[str, str]
    rest: str

    def words(self) -> list[str]:
        """The rest as a JSON list; NotUnderstood for the shell form, which hides signals from the program."""
        try:
            found = json.loads(self.rest)
        except ValueError as error:
            raise NotUnderstood(f"Line {self.line}: {self.word} must be a JSON list here.") from error
        if not isinstance(found, list) or not all(isinstance(word, str) for word in found):
            raise NotUnderstood(f"Line {self.line}: {self.word} must be a list of texts.")
        return found

    def pairs(self) -> dict[str, str]:
        """The rest as NAME=value pairs."""
        pairs = [word.partition("=") for word in shlex.split(self.rest)]
        if not all(name and sign for name, sign, _ in pairs):
            raise NotUnderstood(f"Line {self.line}: {self.word} must be NAME=value pairs.")
        return {name: value for name, _, value in pairs}


@dataclass
class Stage:
    """FROM and what follows it, until the next FROM."""

    name: str
    image: str
    steps: list[Instruction] = field(default_factory=list)

    def last(self, word: str) -> Instruction | None:
        """The instruction of this word that counts."""
        return next((step for step in reversed(self.steps) if step.word == word), None)


def parse(text: str) -> list[Stage]:
    """The stages in their order."""
    stages: list[Stage] = []
    for instruction in _instructions(text):
        if instruction.word == "FROM":
            stages.append(_stage(instruction, len(stages)))
        elif not stages:
            raise NotUnderstood(f"Line {instruction.line}: {instruction.word} stands before the first FROM.")
        else:
            stages[-1].steps.append(instruction)
    if not stages:
        raise NotUnderstood("There is no FROM.")
    return stages


def _stage(instruction: Instruction, number: int) -> Stage:
    found = re.fullmatch(r"(\S+)(?:\s+AS\s+(\S+))?", instruction.rest, re.IGNORECASE)
    if not found or "$" in instruction.rest:
        raise NotUnderstood(f"Line {instruction.line}: FROM must be an image and, if need be, AS and a name.")
    return Stage(found[2] or str(number), found[1])


def _instructions(text: str) -> list[Instruction]:
    found, logical, begun = [], "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith("#") or not (logical or line.strip()):
            continue
        begun = begun if logical else number
        logical += line.removesuffix("\\") if line.endswith("\\") else line
        if not line.endswith("\\"):
            found.append(_instruction(begun, logical))
            logical = ""
    if logical:
        raise NotUnderstood(f"Line {begun} is continued after the end of the file.")
    return found


def _instruction(line: int, text: str) -> Instruction:
    word, _, rest = text.strip().partition(" ")
    word = word.upper()
    if word not in KNOWN:
        raise NotUnderstood(f"Line {line}: we do not know how to run {word}.")
    flags = {}
    while match := re.match(r"\s*--([a-z-]+)(?:=(\S+))?\s", rest):
        flags[match[1]] = match[2] or ""
        rest = rest[match.end() :]
    if unknown := flags.keys() - FLAGS.get(word, set()):
        raise NotUnderstood(f"Line {line}: we do not know --{min(unknown)} of {word}.")
    if "<<" in rest and word in {"RUN", "COPY"}:
        raise NotUnderstood(f"Line {line}: we do not know here-documents.")
    return Instruction(line, word, flags, rest.strip())


def ignored(rules: str, path: Path) -> bool:
    """Whether a .dockerignore with these lines leaves `path` (relative) out of what `COPY . .` takes."""
    for rule in (line.strip() for line in rules.splitlines()):
        if not rule or rule.startswith("#"):
            continue
        if rule.startswith("!"):
            raise NotUnderstood(f"We do not know exceptions in .dockerignore: {rule}")
        anywhere = rule.startswith("**/")
        pattern = rule.removeprefix("**/").strip("/")
        starts = range(len(path.parts)) if anywhere else [0]
        length = pattern.count("/") + 1
        if any(fnmatch.fnmatchcase("/".join(path.parts[start : start + length]), pattern) for start in starts):
            return True
    return False
