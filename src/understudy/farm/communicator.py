"""The MPI communicator of a program: its size checked, its ranks ending together, one thread per rank.

mpi4py is imported only when a communicator is asked for, and works without a launcher as one rank.
"""

from __future__ import annotations

import os
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, TypeVar

import numpy as np

from understudy.errors import InputError
from understudy.watchdog import end_with_launcher

T = TypeVar("T")

_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
_POLL_S = 0.005
_LONGEST_POLL_S = 0.05
_ABORT_AFTER_S = 10.0
_FORWARD_S = 1.0


def world():
    """All ranks of this program as an mpi4py communicator, each held to one thread and tied to its launcher."""
    end_with_launcher()
    _one_thread()
    from mpi4py import MPI

    return MPI.COMM_WORLD


def _one_thread() -> None:
    """BLAS, OpenMP and numba compute on one thread: results must not depend on how many cores a rank sees."""
    for name in _THREAD_VARIABLES:
        os.environ[name] = "1"
    if "numba" in sys.modules:
        # numba refuses a changed variable once it runs, but can be told directly.
        sys.modules["numba"].set_num_threads(1)
    else:
        os.environ["NUMBA_NUM_THREADS"] = "1"
    # BLAS libraries that are loaded already do not read the variables again.
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)


def check_ranks(comm, ranks: int) -> None:
    """Compare the communicator's size with the number of ranks that was asked for.

    Raises
    ------
    InputError
        If they differ, as when a launcher of another MPI starts many programs of one rank each.
    """
    if comm.size != ranks:
        hint = ""
        if comm.size == 1:
            hint = (
                "; a launcher that does not belong to this MPI library starts separate programs of size 1: "
                "use the mpiexec beside this Python, or srun with the --mpi plugin of this library"
            )
        raise InputError(
            f"--ranks: asked for {ranks} ranks, the launcher started a communicator of size {comm.size} "
            f"on {socket.gethostname()}; accepted is a launcher that starts as many ranks as --ranks says{hint}"
        )


def mpi_description(comm, ranks: int) -> dict[str, Any] | None:
    """Library, requested and real size and hosts, for the provenance record; on rank 0, None elsewhere. Collective."""
    hosts = comm.gather(socket.gethostname())
    if hosts is None:
        return None
    from mpi4py import MPI

    library = MPI.Get_library_version().split("\n")[0].strip("\x00").strip()
    return {"library": library, "requested": ranks, "size": comm.size, "hosts": sorted(set(hosts))}


def first_rank(comm, function: Callable[..., T], *arguments: Any) -> T:
    """``function(*arguments)`` on rank 0, its result on every rank. Collective.

    An error is raised as it is on rank 0 and as `SystemExit` elsewhere, so that it is told once.
    """
    error: BaseException | None = None
    answer = None
    if comm.rank == 0:
        try:
            answer = (0, function(*arguments))
        except Exception as caught:
            error, answer = caught, (_status(caught), None)
    status, value = comm.bcast(answer)
    if error is not None:
        raise error
    if status:
        raise SystemExit(status)
    return value


@contextmanager
def entered_on_first_rank(comm, make: Callable[[], AbstractContextManager[T]]) -> Iterator[T | None]:
    """Enter ``make()`` on rank 0 only; its value there, None elsewhere. Collective.

    If it cannot be entered, no rank runs the body: rank 0 raises, the others end.
    """
    with ExitStack() as stack:
        value = None

        def enter() -> None:
            nonlocal value
            value = stack.enter_context(make())

        first_rank(comm, enter)
        yield value


def wait_asleep(test: Callable[[], bool], limit_s: float | None = None) -> bool:
    """Wait for ``test`` without spinning, as MPI's own waits do; False if ``limit_s`` passed before it held."""
    deadline = None if limit_s is None else time.monotonic() + limit_s
    pause = _POLL_S
    while not test():
        if deadline is not None and time.monotonic() > deadline:
            return False
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_POLL_S)
    return True


@contextmanager
def together(comm) -> Iterator[None]:
    """Let the ranks end together, whatever happens on one of them. Collective.

    Errors on all ranks, or on some while the rest arrive here too, are raised on the lowest failing rank and end the
    others silently. If the rest do not arrive within 10 s, because they wait for the failed rank elsewhere, the error
    is printed and the whole job aborted; nothing a farm has finished is lost by that.
    """
    guard = comm.Dup()
    error: BaseException | None = None
    try:
        yield
    except BaseException as caught:
        error = caught
    mine = _status(error)
    if guard.size > 1:
        statuses = np.zeros(guard.size, dtype=np.int32)
        request = guard.Iallgather(np.array([mine], dtype=np.int32), statuses)
        if not wait_asleep(request.Test, _ABORT_AFTER_S if mine else None):
            if isinstance(error, InputError):
                print(f"error: {error}", file=sys.stderr, flush=True)
            else:
                traceback.print_exception(error)
            abort(guard, mine)
        failed = np.flatnonzero(statuses)
        if len(failed) and guard.rank != _speaker(failed, error, guard):
            raise SystemExit(int(statuses[failed[0]]))
    guard.Free()
    if error is not None:
        # Every rank is on its way out: `arguments.main` need not abort them.
        error.ranks_end_together = True
        raise error


def abort(comm, status: int) -> None:
    """End all ranks of ``comm`` with ``status``, whatever they do, and do not return.

    What this rank has printed is on its way first: a launcher that is told to abort stops reading (seen with MPICH's
    Hydra), and the only message that says what was wrong would be lost.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    time.sleep(_FORWARD_S)
    comm.Abort(status)


def _speaker(failed: Sequence[int], error: BaseException | None, guard) -> int:
    """The rank that tells: the lowest whose error is not a silent end."""
    silent = error is None or isinstance(error, SystemExit)
    told = np.flatnonzero(guard.allgather(not silent))
    return int(told[0]) if len(told) else int(failed[0])


def _status(error: BaseException | None) -> int:
    """Exit status of a program that ends with ``error``."""
    if error is None:
        return 0
    if isinstance(error, SystemExit):
        code = error.code
        return code if isinstance(code, int) else int(code is not None)
    return 2 if isinstance(error, InputError) else 1
