"""Child processes that do not outlive their parent. Standard library only: the demo uses it before Django is set up."""

import ctypes
import signal
import sys

PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """To be run in a new child (`preexec_fn`): asks Linux for SIGTERM when the parent dies, whatever kills it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
