"""Ranks that begin and end together, told once; one thread per rank."""

import subprocess
import sys
from pathlib import Path

import pytest

MPIEXEC = Path(sys.executable).with_name("mpiexec")
HEAD = """
import contextlib, sys
from understudy.errors import InputError
from understudy.farm.communicator import *

def main(body):
    try:
        body(world())
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
"""


def run(code, ranks=2, timeout=40):
    command = [MPIEXEC, "-n", str(ranks), sys.executable, "-c", HEAD + code]
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=timeout)


JOB = """
@contextlib.contextmanager
def job():
    {enter}
    print("entered", flush=True)
    try:
        yield "job"
    finally:
        print("left", flush=True)

def body(comm):
    with together(comm), entered_on_first_rank(comm, job) as this:
        # One rank prints: the launcher may cut into the lines of several.
        for line in comm.gather(f"body {{comm.rank}} {{this}} {{comm.bcast(this)}}") or []:
            print(line, flush=True)
        {work}
main(body)
"""


def test_a_job_is_entered_on_the_first_rank_only():
    done = run(JOB.format(enter="pass", work="pass"))
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == ["body 0 job job", "body 1 None job", "entered", "left"]


def test_a_job_that_cannot_be_entered_ends_all_ranks_with_one_message():
    done = run(JOB.format(enter="raise InputError('config.yaml: found nothing')", work="pass"), ranks=3)
    assert done.returncode == 2
    assert (done.stdout, done.stderr) == ("", "error: config.yaml: found nothing\n")


@pytest.mark.parametrize("work", ["raise InputError('no data')", "if comm.rank == 0: raise InputError('no data')"])
def test_an_error_is_told_once_and_the_job_is_left(work):
    done = run(JOB.format(enter="pass", work=work))
    assert done.returncode == 2
    assert "left" in done.stdout and done.stderr == "error: no data\n"


def test_an_error_on_another_rank_alone_is_told_by_that_rank():
    done = run(JOB.format(enter="pass", work="if comm.rank == 1: raise InputError('rank 1 has no data')"))
    assert done.returncode == 2
    assert done.stderr == "error: rank 1 has no data\n"


PROGRAM = """
from understudy.farm.communicator import together, world
from understudy.errors import InputError
from understudy.provenance.arguments import main, parser

def work(arguments):
    comm = world()
    {body}
main(work, parser(""))
"""


def test_a_program_tells_its_error_and_the_launcher_adds_nothing():
    """Ranks that end together are not aborted: a launcher told to abort may drop what it has not read yet."""
    body = "with together(comm): raise InputError('no data')"
    done = run(PROGRAM.format(body=body))
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "error: no data\n")


def test_a_program_ends_ranks_that_wait_for_it_and_tells_its_error():
    body = "comm.rank == 1 and comm.barrier(); raise InputError('no data')"
    done = run(PROGRAM.format(body=body))
    assert done.returncode == 2
    assert "error: no data\n" in done.stderr and "Traceback" not in done.stderr


def test_a_rank_computes_on_one_thread():
    code = """
import numpy, numba
from threadpoolctl import threadpool_info

def body(comm):
    numpy.ones((200, 200)) @ numpy.ones((200, 200))
    threads = {pool["num_threads"] for pool in threadpool_info()}
    print(sorted(threads), numba.get_num_threads(), mpi_description(comm, 1)["size"])
main(body)
"""
    done = run(code, ranks=1)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["[1]", "1", "1"]
