"""The table of journeys (in __init__.py) names tests that exist."""

import re
from pathlib import Path

from tests import journeys

FOLDER = Path(__file__).parent


def test_each_journey_of_the_table_has_its_test() -> None:
    named = re.findall(r"^.{32}(\S+)::(test_\w+)$", journeys.__doc__ or "", re.MULTILINE)
    assert len(named) == 22
    assert [one for one in named if f"def {one[1]}(" not in (FOLDER / f"{one[0]}.py").read_text()] == []
