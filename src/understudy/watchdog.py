"""End a process when its parent is gone: no rank computes on without its launcher, no worker without its program."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time

_PR_SET_PDEATHSIG = 1
_PERIOD_S = 1.0
_LAUNCHED = ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK")
_active = threading.Event()


def launched() -> bool:
    """Whether an MPI launcher started this process (a run by hand without one has nothing to follow)."""
    return any(name in os.environ for name in _LAUNCHED)


def end_with_launcher() -> None:
    """From now on a rank is killed as soon as its launcher ends; nothing in a program that has none."""
    if launched() and not _active.is_set():
        _active.set()
        end_with_parent()


def end_with_parent() -> None:
    """From now on this process is killed as soon as its parent ends.

    The kernel's parent-death signal works even while compiled code holds the interpreter; where it does not exist, a
    thread compares the parent's number.
    """
    parent = os.getppid()
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if parent == 1:
        # The parent was gone before anyone could watch it.
        os.kill(os.getpid(), signal.SIGKILL)
    threading.Thread(target=_watch, args=(parent,), name="parent watchdog", daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_PERIOD_S)
    os.kill(os.getpid(), signal.SIGKILL)
