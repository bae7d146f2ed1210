"""The shell blocks of the manual, in the order in which a reader comes to them."""

import re

from tests.golive.machine import SOURCE

BLOCK = re.compile(r"^```\w+\n(.*?)^```", re.DOTALL | re.MULTILINE)


def _section(chapter: str, heading: str) -> str:
    """What stands below one heading, which is named by its anchor or its words."""
    text = (SOURCE / f"templates/manual/{chapter}.md").read_text(encoding="utf-8")
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    titles = {one: one.partition("\n")[0] for one in sections}
    (section,) = (one for one, title in titles.items() if f"{{#{heading}}}" in title or title == heading)
    return section


def blocks(chapter: str, heading: str) -> list[str]:
    """What stands in boxes below one heading of a chapter."""
    found = BLOCK.findall(_section(chapter, heading))
    assert found, f"{chapter}, {heading}: there is nothing to type"
    assert not any("{{" in one for one in found)
    return found


def table(chapter: str, heading: str) -> list[str]:
    """The first cells of the table below one heading, where they are code."""
    return re.findall(r"^\| `([^`]+)` \|", _section(chapter, heading), re.MULTILINE)


def lines(block: str) -> list[str]:
    """Each command, with the lines that continue it."""
    return [one for one in block.replace("\\\n", " ").splitlines() if one.strip()]
