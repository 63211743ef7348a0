"""kill -9 at random moments, then resume: nothing finished is recomputed, nothing lost, nothing doubled."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from understudy.farm.processes import identify

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(__file__).with_name("farm_program.py")
MPIEXEC = Path(sys.executable).with_name("mpiexec")


def wait_for_the_end(processes):
    """The parent-death signal comes at once, the watchdog thread within a second."""
    deadline = time.monotonic() + 5
    while any(process.alive() for process in processes):
        assert time.monotonic() < deadline, "a process lives on without its parent"
        time.sleep(0.02)


def test_five_seeded_rounds_of_kill_and_resume(tmp_path):
    # The same command with --kill-rounds 50 is the long version.
    figures = tmp_path / "figures.json"
    command = [sys.executable, ROOT / "benchmarks" / "farm.py", "--kill-rounds", "5", "--seed", "2", "--json", figures]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(figures.read_text())
    assert found["rounds"] == 5
    assert sum(found["kills"].values()) - found["kills"].get("too late", 0) >= 5
    for name in ("second_writers_admitted", "recomputed", "lost", "doubled", "different_files", "survivors"):
        assert found[name] == 0, done.stdout


@pytest.mark.parametrize("victim", ["mpiexec", "hydra_pmi_proxy"])
def test_ranks_end_when_their_launcher_is_killed(tmp_path, victim):
    log = tmp_path / "log"
    log.touch()
    words = ["-n", "2", sys.executable, PROGRAM, "--ranks", "2", "--folder", tmp_path / "shards", "--log", log]
    command = [str(word) for word in (MPIEXEC, *words, "--seconds", "30")]
    launcher = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while log.read_text().count("start") < 2:
            assert launcher.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        family = psutil.Process(launcher.pid).children(recursive=True)
        identities = [identify(process.pid) for process in family]
        (target,) = [p.pid for p in [psutil.Process(launcher.pid), *family] if p.name() == victim]
        os.kill(target, signal.SIGKILL)
        wait_for_the_end(identities)
    finally:
        launcher.kill()
        launcher.wait()


@pytest.mark.parametrize(
    "hold",
    [
        # A compiled kernel that holds the interpreter silences every thread: only the kernel's signal is left.
        "import ctypes; ctypes.PyDLL(None).sleep(30)",
        # Without that signal the thread does it.
        "import time; time.sleep(30)",
    ],
    ids=["signal", "thread"],
)
def test_signal_and_thread_each_end_a_rank_by_themselves(hold):
    without_signal = "sys.platform = 'other'; " if "time.sleep" in hold else ""
    rank = (
        f"import os, sys; {without_signal}from understudy.watchdog import end_with_launcher; end_with_launcher(); "
        f"print(os.getpid(), flush=True); {hold}"
    )
    launcher = f"import subprocess, sys; subprocess.call([sys.executable, '-c', {rank!r}])"
    environment = {**os.environ, "PMI_RANK": "0"}
    parent = subprocess.Popen([sys.executable, "-c", launcher], stdout=subprocess.PIPE, env=environment)
    process = identify(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_for_the_end([process])


def test_a_worker_ends_with_its_program():
    """Else it waits for ever to hand over its result, and Snakemake for the log that it holds open."""
    code = (
        "import os, time; from understudy.worker_process import worker_process; worker = worker_process(); "
        "print(worker.submit(os.getpid).result(), flush=True); worker.submit(time.sleep, 60).result()"
    )
    program = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    worker = identify(int(program.stdout.readline()))
    program.kill()
    program.wait()
    program.stdout.close()
    wait_for_the_end([worker])
