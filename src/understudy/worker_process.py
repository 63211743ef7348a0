"""Work in a process of its own: codes that keep global state, and timings that must not share an interpreter."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from understudy.watchdog import end_with_parent


def worker_process(prepare: Callable[..., None] | None = None, *arguments: Any) -> ProcessPoolExecutor:
    """An executor of one fresh process, which first calls ``prepare(*arguments)`` and ends with this process.

    Left behind by a program that was killed it would wait for ever to hand over its result, and hold open the pipe to
    the log for whose end the workflow waits.
    """
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(1, mp_context=spawn, initializer=_begin, initargs=(prepare, arguments))


def _begin(prepare: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    end_with_parent()
    if prepare is not None:
        prepare(*arguments)
