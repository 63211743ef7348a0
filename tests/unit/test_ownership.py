"""One owner per folder: the living keep it, the dead lose it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from understudy.errors import InputError
from understudy.farm import ownership
from understudy.farm.ownership import OWNER, acquire, live_owners, read_owner, release, stop_owner
from understudy.farm.processes import WORKFLOW_VARIABLE, ProcessIdentity, identify, own_workflow, workflow_of

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]
CONTENDER = """
import sys, time
from pathlib import Path
from understudy.errors import InputError
from understudy.farm.ownership import acquire
from understudy.farm.processes import identify
try:
    acquire(Path(sys.argv[1]), "contender", [identify()])
    print("owner", flush=True)
    sys.stdin.read()
except InputError:
    print("refused", flush=True)
"""


@pytest.fixture
def sleeper():
    process = subprocess.Popen(SLEEPER)
    yield process
    process.kill()
    process.wait()


def rewrite(folder, **changes):
    path = folder / OWNER
    content = json.loads(path.read_text())
    content.update(changes)
    path.write_text(json.dumps(content))


def test_a_second_writer_is_refused_by_name_until_the_first_releases(tmp_path):
    owner = acquire(tmp_path, "first job", [identify()])
    with pytest.raises(InputError, match=rf"process {os.getpid()} on {socket.gethostname()} \(first job\)"):
        acquire(tmp_path, "second job", [identify()])
    release(owner)
    assert read_owner(tmp_path) is None
    release(acquire(tmp_path, "second job", [identify()]))


def test_a_killed_owner_is_replaced(tmp_path, sleeper):
    acquire(tmp_path, "killed", [identify(sleeper.pid)])
    # Not waited for, so it stays a zombie, which does not write any more either.
    sleeper.kill()
    while identify_or_none(sleeper.pid):
        time.sleep(0.01)
    assert read_owner(tmp_path).state() == "gone"
    assert acquire(tmp_path, "next", [identify()]).label == "next"
    assert read_owner(tmp_path).label == "next"


def identify_or_none(pid):
    try:
        return identify(pid)
    except ProcessLookupError:
        return None


def test_a_later_process_with_the_same_number_is_not_the_owner(tmp_path):
    acquire(tmp_path, "earlier", [ProcessIdentity(socket.gethostname(), os.getpid(), "another-boot-1")])
    assert read_owner(tmp_path).state() == "gone"


def test_an_owner_elsewhere_is_judged_by_its_heartbeat(tmp_path):
    acquire(tmp_path, "elsewhere", [ProcessIdentity("another-host", 1, "boot-1")])
    with pytest.raises(InputError, match="on another-host"):
        acquire(tmp_path, "here", [identify()])
    old = time.time() - ownership.STALE_AFTER_S - 1
    os.utime(tmp_path / OWNER, (old, old))
    assert acquire(tmp_path, "here", [identify()]).host == socket.gethostname()


def test_a_job_of_which_a_rank_is_gone_is_ending_and_waited_for(tmp_path, sleeper):
    gone = ProcessIdentity(socket.gethostname(), os.getpid(), "another-boot-1")
    acquire(tmp_path, "ending", [gone, identify(sleeper.pid)])
    assert read_owner(tmp_path).state() == "ending"
    subprocess.Popen(["/bin/sh", "-c", f"sleep 0.3; kill -9 {sleeper.pid}"])
    start = time.monotonic()
    acquire(tmp_path, "next", [identify()])
    assert time.monotonic() - start > 0.2


def test_ownership_lost_meanwhile_is_told(tmp_path):
    owner = acquire(tmp_path, "slow", [identify()])
    rewrite(tmp_path, token="of another job")
    with pytest.raises(InputError, match="taken over"):
        release(owner)


def test_an_unreadable_note_does_not_block(tmp_path):
    (tmp_path / OWNER).write_text("{")
    assert read_owner(tmp_path) is None
    release(acquire(tmp_path, "next", [identify()]))


def test_of_many_contenders_for_a_stale_folder_one_wins(tmp_path):
    acquire(tmp_path, "stale", [ProcessIdentity(socket.gethostname(), os.getpid(), "another-boot-1")])
    command = [sys.executable, "-c", CONTENDER, str(tmp_path)]
    contenders = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    answers = [contender.stdout.readline().strip() for contender in contenders]
    for contender in contenders:
        contender.communicate()
    assert sorted(answers) == ["owner"] + ["refused"] * 5


def test_live_owners_of_a_run_are_found_and_stopped(tmp_path, sleeper):
    folder = tmp_path / ".work" / "simulate" / "key"
    dead = tmp_path / ".work" / "other" / "key"
    for path in (folder, dead):
        path.mkdir(parents=True)
    acquire(folder, "living", [identify(sleeper.pid)])
    acquire(dead, "dead", [ProcessIdentity(socket.gethostname(), os.getpid(), "another-boot-1")])
    (owner,) = live_owners(tmp_path)
    assert (owner.label, owner.pid, owner.folder) == ("living", sleeper.pid, folder)
    stop_owner(owner)
    assert sleeper.wait(5) == -signal.SIGTERM
    assert live_owners(tmp_path) == []


def test_an_owner_that_ignores_the_request_is_killed(tmp_path):
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    process.stdout.readline()
    stop_owner(acquire(tmp_path, "deaf", [identify(process.pid)]), patience_s=0.2)
    process.stdout.close()
    assert process.wait(5) == -signal.SIGKILL


def test_an_owner_elsewhere_cannot_be_stopped(tmp_path):
    owner = acquire(tmp_path, "elsewhere", [ProcessIdentity("another-host", 1, "boot-1")])
    with pytest.raises(InputError, match="another-host"):
        stop_owner(owner)


def test_a_job_is_an_orphan_once_its_workflow_is_gone(tmp_path):
    stand_in = tmp_path / "snakemake"
    stand_in.write_text("import subprocess, sys\nsubprocess.call(sys.argv[1:])\n")
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    workflow = subprocess.Popen([sys.executable, str(stand_in), sys.executable, "-c", code], stdout=subprocess.PIPE)
    job = identify(int(workflow.stdout.readline()))
    assert workflow_of(job.pid).pid == workflow.pid
    acquire(tmp_path, "job", [job])
    rewrite(tmp_path, workflow=workflow_of(job.pid).to_json())
    assert not read_owner(tmp_path).orphan
    workflow.kill()
    workflow.wait()
    assert job.alive() and read_owner(tmp_path).orphan
    stop_owner(read_owner(tmp_path))
    workflow.stdout.close()
    rewrite(tmp_path, workflow=None)
    assert not read_owner(tmp_path).orphan, "a job started by hand is nobody's orphan"


def test_a_job_knows_its_snakemake_even_if_that_was_gone_before_it_looked(monkeypatch):
    monkeypatch.delenv(WORKFLOW_VARIABLE, raising=False)
    assert own_workflow() is None, "started by hand"
    here = identify()
    gone = ProcessIdentity(here.host, 2**22 - 1, "some boot-7")
    monkeypatch.setenv(WORKFLOW_VARIABLE, f"{gone.host} {gone.pid} {gone.started}")
    assert own_workflow() is None, "a start mark is one word"
    gone = ProcessIdentity(here.host, 2**22 - 1, "boot-7")
    monkeypatch.setenv(WORKFLOW_VARIABLE, f"{gone.host} {gone.pid} {gone.started}")
    assert own_workflow() == gone and not gone.alive()
    monkeypatch.setenv(WORKFLOW_VARIABLE, f"elsewhere {gone.pid} {gone.started}")
    assert own_workflow() is None, "what another host does cannot be seen from here"
