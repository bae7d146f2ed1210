"""The README's picture of one webhook is true: the files it names are those that run, no more and no fewer."""

import re
import sys
from collections.abc import Callable
from types import CodeType
from typing import Any

from tests.world import ROOT, World

APPS = str(ROOT / "apps")
SECTION = re.compile(r"## The path of one webhook\n(.*?)\n## ", re.DOTALL)


def files_that_run(work: Callable[[], Any]) -> set[str]:
    """The files of apps/ in which a function began while `work` ran."""
    found: set[str] = set()

    def note(code: CodeType, _offset: int) -> object:
        if code.co_filename.startswith(APPS):
            found.add(code.co_filename.removeprefix(f"{ROOT}/"))
        return sys.monitoring.DISABLE

    events, tool = sys.monitoring.events, sys.monitoring.PROFILER_ID
    sys.monitoring.use_tool_id(tool, "readme")
    sys.monitoring.register_callback(tool, events.PY_START, note)
    sys.monitoring.restart_events()
    sys.monitoring.set_events(tool, events.PY_START)
    try:
        work()
    finally:
        sys.monitoring.set_events(tool, 0)
        sys.monitoring.register_callback(tool, events.PY_START, None)
        sys.monitoring.free_tool_id(tool)
    return found


def named_in_the_readme() -> tuple[set[str], set[str]]:
    """The files of the picture, and those of the table below it."""
    section = SECTION.search((ROOT / "README.md").read_text())
    assert section
    _, picture, rest = section[1].split("```")
    return tuple(set(re.findall(r"apps/\w+/[\w/]+\.py", text)) for text in (picture, rest))  # type: ignore[return-value]


def test_one_webhook_runs_the_files_that_the_readme_names(world: World) -> None:
    dana = world.subscriber("dana")
    world.shop.control("payments", customer=dana.stripe_customer_id, mode="fail")
    world.pass_time(days=32)
    (event,) = [event for event in world.new_events() if event["type"] == "invoice.payment_failed"]

    def one_webhook() -> None:
        assert world.post_events([event]) == [200]
        world.work()

    ran = files_that_run(one_webhook)

    assert world.state(dana).access == "suspended"
    picture, table = named_in_the_readme()
    assert table == ran
    assert picture <= ran
    assert len(picture) >= 12
