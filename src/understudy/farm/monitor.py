"""Progress lines and heartbeat of a farm, from a small process beside rank 0.

A process rather than a thread: a compiled kernel that holds the interpreter for minutes would silence a thread. It
counts whole frames in the shards of the running attempt, and ends when its standard input is closed, which the death
of rank 0 does too. Standard library only, so that it starts at once.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from understudy.farm.frames import scan_frames

FIRST_INTERVAL_S = 5.0
LONGEST_INTERVAL_S = 60.0


def duration(seconds: float) -> str:
    """``seconds`` for people: ``42 s``, ``3 min 20 s``, ``5 h 07 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def progress_line(plan: dict[str, Any], done: int, cost_done: float, elapsed_s: float) -> str:
    """One line with done and total, rate and remaining time.

    Parameters
    ----------
    done, cost_done : finished cases of this attempt, and their expected effort.
    elapsed_s : since this attempt started.
    """
    reused, total = plan["reused"], plan["total"]
    finished = reused + done
    line = f"[{plan['label']}] {finished}/{total} cases ({100 * finished / max(total, 1):.0f} %)"
    if reused:
        line += f", {reused} reused"
    if done and elapsed_s > 0:
        left = max(plan["cost"] - cost_done, 0.0) / cost_done * elapsed_s if cost_done > 0 else 0.0
        line += f", {done / elapsed_s:.3g} cases/s, {duration(left)} left"
    return line


class _Counter:
    """Finished cases of one attempt, counted from where the last count ended."""

    def __init__(self, plan: dict[str, Any]):
        self._folder = Path(plan["folder"])
        self._pattern = f"shard-{plan['attempt']:04d}-*.bin"
        self._costs = dict(plan["costs"])
        self._ends: dict[Path, int] = {}
        self.done = 0
        self.cost = 0.0

    def update(self) -> None:
        for path in self._folder.glob(self._pattern):
            found, self._ends[path] = scan_frames(path, self._ends.get(path, 0))
            self.done += len(found)
            self.cost += sum(self._costs.get(frame.case, 0.0) for frame in found)


def watch(plan: dict[str, Any], stream, stopped) -> None:
    """Print progress and touch the owner file until ``stopped(wait_s)`` says that the farm is done."""
    counter = _Counter(plan)
    start = time.monotonic()
    interval = FIRST_INTERVAL_S
    while not stopped(interval):
        with contextlib.suppress(FileNotFoundError):
            os.utime(plan["owner"])
        counter.update()
        elapsed = time.monotonic() - start
        # Always within the heartbeat's limit, rarer in long runs so that logs stay short.
        interval = min(max(FIRST_INTERVAL_S, elapsed / 60), LONGEST_INTERVAL_S)
        print(progress_line(plan, counter.done, counter.cost, elapsed), file=stream, flush=True)


def start_monitor(plan: dict[str, Any]) -> subprocess.Popen:
    """Start the monitor beside the calling process; its plan goes in as one line."""
    process = subprocess.Popen([sys.executable, "-m", "understudy.farm.monitor"], stdin=subprocess.PIPE)
    try:
        process.stdin.write(json.dumps(plan).encode() + b"\n")
        process.stdin.flush()
    except BrokenPipeError:
        # The farm works without progress; what killed the monitor is on standard error.
        pass
    return process


def stop_monitor(process: subprocess.Popen) -> None:
    """End the monitor and wait for it."""
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
    process.terminate()
    process.wait()


def main() -> None:
    source = sys.stdin.buffer
    plan = json.loads(source.readline())

    def stopped(wait_s: float) -> bool:
        return bool(select.select([source], [], [], wait_s)[0])

    watch(plan, sys.stderr, stopped)


if __name__ == "__main__":
    main()
