"""Child processes that do not outlive their parent. Standard library only: the demo uses it before Django is set up.

Both are run in a new child (`preexec_fn` or after a fork). They do nothing where there is no Linux to ask.
"""

import ctypes
import signal
import sys

PR_SET_PDEATHSIG = 1


def stopped_with_parent() -> None:
    """Ask for SIGTERM when the parent dies, whatever kills it: the child may end in order."""
    _on_parents_death(signal.SIGTERM)


def killed_with_parent() -> None:
    """Ask to be killed when the parent dies: nothing of it may be left, not even for a moment."""
    _on_parents_death(signal.SIGKILL)


def _on_parents_death(how: signal.Signals) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, how)
