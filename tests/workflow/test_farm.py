"""The farm under real MPI ranks: the same file on any number of them, exact resume, and plain errors."""

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from understudy.farm.frames import scan_frames
from understudy.farm.shards import Failure, read_cases, shard_files

PROGRAM = Path(__file__).with_name("farm_program.py")
MPIEXEC = Path(sys.executable).with_name("mpiexec")


class Farm:
    """Runs of the artificial program in one folder."""

    def __init__(self, folder: Path):
        self.shards = folder / "shards"
        self.log = folder / "log"
        self.dataset = folder / "dataset.h5"
        self.summary = folder / "summary.json"
        self.log.touch()

    def run(self, *arguments, ranks=2, requested=None, launcher=True, status=0, timeout=60):
        words = ["--folder", self.shards, "--log", self.log, "--dataset", self.dataset, "--summary", self.summary]
        launch = [MPIEXEC, "-n", ranks] if launcher else []
        asked = ranks if requested is None else requested
        command = [*launch, sys.executable, PROGRAM, "--ranks", asked, *words, *arguments]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=timeout)
        assert done.returncode == status, done.stderr
        return done.stderr

    def events(self, event="start"):
        """(time, case, process) of the log."""
        lines = [line.split() for line in self.log.read_text().splitlines()]
        return [(float(time), int(case), int(pid)) for time, kind, case, pid in lines if kind == event]

    def started(self):
        return sorted(case for _, case, _ in self.events())

    def forget(self):
        self.log.write_text("")

    def digest(self):
        return hashlib.sha256(self.dataset.read_bytes()).hexdigest()

    def key_folders(self):
        return sorted(self.shards.iterdir())

    def cases(self):
        (key_folder,) = self.key_folders()
        return read_cases(self.shards, key_folder.name)


@pytest.fixture
def farm(tmp_path):
    return Farm(tmp_path)


def test_one_two_and_three_ranks_write_the_same_file(tmp_path):
    digests, writers = {}, {}
    for ranks in (1, 2, 3):
        (tmp_path / str(ranks)).mkdir()
        farm = Farm(tmp_path / str(ranks))
        farm.run("--seconds", 0.01, "--fail", 6, "--largest-failed", 1, ranks=ranks, launcher=ranks > 1)
        assert farm.started() == sorted([*range(40), 6]), "the failing case is tried in its block and alone"
        digests[ranks], writers[ranks] = farm.digest(), len({pid for _, _, pid in farm.events()})
    assert writers == {1: 1, 2: 2, 3: 3}, "every rank computes"
    assert len(set(digests.values())) == 1


def test_a_finished_folder_is_reused_as_it_is_and_recompute_ignores_it(farm):
    farm.run()
    first = farm.digest()
    farm.forget()
    assert "reusing 40 of 40 cases" in farm.run(ranks=3)
    assert farm.started() == [] and farm.digest() == first
    assert "--recompute: removed" in farm.run("--recompute")
    assert farm.started() == list(range(40)) and farm.digest() == first


def test_only_missing_cases_of_half_finished_blocks_are_computed(farm):
    farm.run(ranks=1)
    (key_folder,) = farm.key_folders()
    ((_, shard),) = shard_files(key_folder)
    frames, _ = scan_frames(shard)
    torn = frames[22]
    os.truncate(shard, torn.offset + torn.length // 2)
    kept = {frame.case for frame in frames[:22]}
    farm.forget()
    stderr = farm.run(ranks=2)
    assert "unfinished records" in stderr and "reusing 22 of 40" in stderr
    assert farm.started() == sorted(set(range(40)) - kept)
    assert len({frame.case for frame in frames}) == 40


def test_coupled_blocks_are_computed_whole_and_stored_once(farm):
    farm.run("--coupled", ranks=1)
    first = farm.digest()
    (key_folder,) = farm.key_folders()
    ((_, shard),) = shard_files(key_folder)
    frames, _ = scan_frames(shard)
    os.truncate(shard, frames[22].offset)
    farm.forget()
    farm.run("--coupled")
    assert farm.started() == list(range(20, 40)), "the block of case 22 starts at 20"
    found = [frame.case for _, path in shard_files(key_folder) for frame in scan_frames(path)[0]]
    assert sorted(found) == list(range(40)) and farm.digest() == first


def test_after_a_change_of_the_physics_no_old_case_is_merged(farm):
    # The old physics dies half-way, at a full disk.
    farm.run("--factor", 1, "--payload", 1000, "--file-limit", 20_000, ranks=1, launcher=False, status=2)
    old = len(farm.started())
    assert 10 < old < 30
    farm.forget()
    stderr = farm.run("--factor", 2)
    assert farm.started() == list(range(40)) and "reusing" not in stderr
    (farm.log.parent / "fresh").mkdir()
    fresh = Farm(farm.log.parent / "fresh")
    fresh.run("--factor", 2, ranks=1, launcher=False)
    assert farm.digest() == fresh.digest()
    assert len(farm.key_folders()) == 2


def test_failed_cases_are_recorded_named_last_and_not_tried_again(farm):
    stderr = farm.run("--fail", 5, 17, status=2)
    assert not farm.dataset.exists()
    assert set(farm.started()) == set(range(40)), "the others are computed first"
    assert "2 of 40 cases failed, accepted are 0 (key largest_failed)" in stderr
    assert "case 5 (peak 0.5): FloatingPointError: no equilibrium in case 5" in stderr
    assert stderr.count("error:") == 1, "told by one rank"
    failure = farm.cases()[17]
    assert isinstance(failure, Failure)
    assert (failure.reason, failure.description) == ("FloatingPointError: no equilibrium in case 17", "peak 1.7")
    assert "farm_program.py" in failure.traceback
    farm.forget()
    farm.run("--fail", 5, 17, "--largest-failed", 2)
    assert farm.started() == [] and farm.dataset.exists()


@pytest.mark.parametrize("coupled", [False, True])
def test_a_nan_from_the_physics_is_a_failed_case_with_its_inputs_and_spoils_no_other(farm, coupled):
    words = ["--nan", 9, *(["--coupled"] if coupled else [])]
    stderr = farm.run(*words, ranks=1, launcher=False, status=2)
    assert "1 of 40 cases failed" in stderr
    assert "case 9 (peak 0.9): the physics gave NaN in target" in stderr
    assert farm.started() == list(range(40)), "nothing is computed twice for it"
    farm.forget()
    farm.run(*words, "--largest-failed", 1, ranks=1, launcher=False)
    assert farm.started() == [] and farm.dataset.exists()


def test_a_second_writer_is_refused_while_the_first_goes_on(farm):
    words = ["--folder", farm.shards, "--log", farm.log, "--seconds", 0.02, "--dataset", farm.dataset]
    command = [str(word) for word in (sys.executable, PROGRAM, *words)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as first:
        while not farm.events():
            assert first.poll() is None
        # Held still, so that it cannot finish before the second one looks.
        first.send_signal(signal.SIGSTOP)
        stderr = farm.run(status=2)
        first.send_signal(signal.SIGCONT)
        assert f"found another writer, process {first.pid} on" in stderr and "(artificial)" in stderr
        assert first.wait() == 0
        first.stderr.read()
    assert farm.started() == list(range(40))


def test_full_disk_ends_all_ranks_with_folder_and_bytes_and_the_rest_resumes(farm):
    arguments = ["--payload", 5000, "--seconds", 0.02]
    stderr = farm.run(*arguments, "--file-limit", 30_000, status=2)
    (key_folder,) = farm.key_folders()
    assert f"rank 0: {key_folder}: no room for the 52" in stderr and stderr.count("error:") == 1
    written = {}
    for _, path in shard_files(key_folder):
        frames, end = scan_frames(path, verify=True)
        assert end == path.stat().st_size
        written |= {frame.case: frame for frame in frames}
    assert 5 <= len(written) < 40, "the other rank stopped too"
    farm.forget()
    farm.run(*arguments)
    assert farm.started() == sorted(set(range(40)) - set(written))


def test_a_disk_that_is_full_indeed_loses_nothing_and_once_there_is_room_the_rest_follows(tmp_path):
    farm = Farm(tmp_path)
    farm.shards.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", farm.shards], capture_output=True).returncode:
        pytest.skip("a small disk needs the right to mount")
    try:
        stderr = farm.run("--payload", 5000, status=2)
        (key_folder,) = farm.key_folders()
        assert f"{key_folder}: no room for the 52" in stderr and "No space left on device" in stderr
        assert stderr.count("error:") == 1
        written = set(farm.cases())
        assert 2 <= len(written) < 40
        subprocess.run(["mount", "-o", "remount,size=10m", farm.shards], check=True)
        farm.forget()
        farm.run("--payload", 5000)
        assert farm.started() == sorted(set(range(40)) - written)
    finally:
        subprocess.run(["umount", farm.shards], check=True)


def test_a_cancelled_job_ends_and_goes_on_with_what_is_missing(farm):
    """SIGTERM to everything, as a scheduler sends it to a job that is cancelled or past its time."""
    words = ["--ranks", 2, "--folder", farm.shards, "--log", farm.log, "--seconds", 0.05, "--dataset", farm.dataset]
    command = [str(word) for word in (MPIEXEC, "-n", 2, sys.executable, PROGRAM, *words)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True) as job:
        while len(farm.events("end")) < 6:
            assert job.poll() is None
        family = psutil.Process(job.pid).children(recursive=True)
        for process in [psutil.Process(job.pid), *family]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()
        assert job.wait(timeout=20) != 0
    assert psutil.wait_procs(family, timeout=10)[1] == []
    finished = set(farm.cases())
    assert len(finished) >= 4 and not farm.dataset.exists()
    farm.forget()
    farm.run()
    assert farm.started() == sorted(set(range(40)) - finished)


@pytest.mark.parametrize(("ranks", "launcher"), [(1, True), (1, False), (3, True)])
def test_another_communicator_size_than_asked_for_is_refused(farm, ranks, launcher):
    stderr = farm.run(ranks=ranks, requested=2, launcher=launcher, status=2)
    assert f"--ranks: asked for 2 ranks, the launcher started a communicator of size {ranks}" in stderr
    assert not farm.shards.exists() and farm.started() == []


def test_a_rank_that_breaks_outside_the_farm_does_not_leave_the_others_waiting(farm):
    stderr = farm.run("--break-rank", 1, status=1, timeout=40)
    assert "ArithmeticError: broken on purpose" in stderr


def test_unwritable_folder_is_named(farm):
    farm.shards.write_text("a file where the folder should be")
    stderr = farm.run(status=2)
    assert f"{farm.shards}" in stderr and "cannot be written" in stderr and stderr.count("error:") == 1


def test_ranks_are_idle_for_less_than_a_tenth_while_there_is_work(farm):
    # One block 10 times longer than each of the others: 3 s against 20 blocks of 0.3 s.
    farm.run("--cases", 20, "--block-size", 1, "--seconds", 0.3, "--long-block", 10)
    starts, ends = farm.events("start"), farm.events("end")
    long_case = 20
    begin, last_start = starts[0][0], starts[-1][0]
    assert long_case in [case for _, case, _ in starts[:2]], "the longest expected comes first"
    assert last_start - begin > 2.0
    finished = {case: time for time, case, _ in ends}
    for pid in {pid for _, _, pid in starts}:
        busy = sum(min(finished[case], last_start) - time for time, case, p in starts if p == pid)
        # 10 % is the promise; each case here waits for 0.3 s, so that fsync and claim have 33 ms between two.
        assert busy / (last_start - begin) > 0.9


def test_progress_tells_total_rate_and_use_of_every_rank(farm):
    stderr = farm.run("--cases", 70, "--seconds", 0.2)
    line = next(line for line in stderr.splitlines() if " left" in line)
    done, total = line.split()[1].split("/")
    assert line.startswith("[artificial] ") and total == "70" and 20 < int(done) < 70
    assert "cases/s" in line
    closing = stderr.splitlines()[-1]
    assert "70 cases done in " in closing and "rank 0 CPU" in closing and "rank 1 CPU" in closing
    use = json.loads(farm.summary.read_text())["ranks"]
    assert sum(rank["cases"] for rank in use) == 70
    # Waiting ranks sleep, as MPI's own waits would not.
    assert all(rank["cpu_s"] < 0.3 * rank["wall_s"] for rank in use)
