"""Progress lines: counts, rate by expected effort, remaining time; and a heartbeat."""

import io
import os
import time

import numpy as np
import pytest

from understudy.farm import monitor, shards
from understudy.farm.frames import RESULT, FrameWriter
from understudy.farm.monitor import duration, progress_line, watch


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.6, "1 min 00 s"), (200, "3 min 20 s"), (18_420, "5 h 07 min")]
)
def test_durations_are_readable(seconds, text):
    assert duration(seconds) == text


def test_remaining_time_goes_by_expected_effort_not_by_count():
    plan = {"label": "simulate", "total": 60, "reused": 10, "cost": 100.0}
    line = progress_line(plan, done=10, cost_done=50.0, elapsed_s=20.0)
    assert line == "[simulate] 20/60 cases (33 %), 10 reused, 0.5 cases/s, 20 s left"


def test_nothing_is_promised_before_the_first_case():
    plan = {"label": "simulate", "total": 60, "reused": 0, "cost": 100.0}
    assert progress_line(plan, 0, 0.0, 5.0) == "[simulate] 0/60 cases (0 %)"


def test_monitor_counts_shards_of_its_attempt_and_keeps_the_owner_file_warm(tmp_path, monkeypatch):
    owner = tmp_path / "owner.json"
    owner.touch()
    os.utime(owner, (0, 0))
    payload = shards.encode_arrays({"x": np.zeros(3)})
    writers = {attempt: FrameWriter(shards.shard_path(tmp_path, attempt, 0)) for attempt in (1, 2)}
    writers[1].append(RESULT, 0, payload)
    plan = {"folder": str(tmp_path), "owner": str(owner), "label": "s", "attempt": 2, "costs": [[1, 3.0], [2, 1.0]]}
    plan |= {"cost": 4.0, "total": 3, "reused": 1}
    calls = iter([False, False, True])

    def stopped(wait_s):
        assert wait_s >= monitor.FIRST_INTERVAL_S
        writers[2].append(RESULT, stopped.case, payload)
        stopped.case += 1
        return next(calls)

    stopped.case = 1
    stream = io.StringIO()
    watch(plan, stream, stopped)
    lines = stream.getvalue().splitlines()
    assert [line.split()[1] for line in lines] == ["2/3", "3/3"]
    assert lines[1].endswith("0 s left")
    assert time.time() - owner.stat().st_mtime < 60
    for writer in writers.values():
        writer.close()
