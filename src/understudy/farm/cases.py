"""Cases over MPI ranks: claimed in blocks, stored as they finish, resumed exactly.

Every rank computes. A job that dies at any moment loses at most the cases in flight; started again with the same key it
computes what is missing and nothing else.
"""

from __future__ import annotations

import contextlib
import sys
import time
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from understudy.errors import InputError
from understudy.farm import claims, frames, monitor, ownership, shards
from understudy.farm.claims import Block
from understudy.farm.communicator import first_rank, wait_asleep
from understudy.farm.processes import ProcessIdentity, identify
from understudy.farm.shards import Failure

Simulate = Callable[[Sequence[int]], Iterable[tuple[int, Mapping[str, np.ndarray]]]]

_STOP_TAG = 1
_NAMED_FAILURES = 10
_RANKS_IN_LINE = 8
_SYNC_S = 1.0
"""Shards go to the disk after a block, but not more often than this; only the death of the machine needs it."""


@dataclass(frozen=True)
class RankUse:
    """How one rank spent its time.

    Attributes
    ----------
    wall_s, cpu_s : wall-clock and CPU seconds from the first claim until all ranks were done.
    busy_s : wall-clock seconds in cases, storing them included.
    cases : computed by this rank.
    """

    wall_s: float
    cpu_s: float
    busy_s: float
    cases: int


@dataclass(frozen=True)
class FarmSummary:
    """What a farm did, the same on every rank.

    Attributes
    ----------
    total, reused, computed : cases asked for, found finished, and computed now (failed ones included).
    failed : failed cases, of earlier attempts with this key too.
    seconds : wall-clock time of this attempt.
    ranks : use of each rank.
    """

    total: int
    reused: int
    computed: int
    failed: tuple[Failure, ...]
    seconds: float
    ranks: tuple[RankUse, ...]


@dataclass(frozen=True)
class _Attempt:
    """What rank 0 found when it opened the folder."""

    number: int
    done: np.ndarray


@dataclass
class _Work:
    """What one rank did, and what stopped it."""

    busy_s: float = 0.0
    cases: int = 0
    error: Exception | None = None
    stop_messages: list = field(default_factory=list)


def run_cases(
    comm,
    *,
    folder: Path,
    key: str,
    blocks: Sequence[Block],
    simulate: Simulate,
    label: str,
    recompute: bool = False,
    largest_failed: int = 0,
    coupled: bool = False,
    numbers: Collection[str] = (),
    describe: Callable[[int], str] | None = None,
) -> FarmSummary:
    """Compute every case of every block that ``folder/<key>`` does not hold yet. Collective.

    Parameters
    ----------
    comm : mpi4py communicator; see `understudy.farm.communicator.world`.
    folder : of this stage's shards, the same on all ranks.
    key : see `understudy.farm.keys.stage_key`.
    blocks : see `understudy.farm.claims.fixed_blocks`; the block is the unit of claiming.
    simulate : gets the missing cases of one block and yields ``(case, named arrays)`` for each, as each is finished. A
        case that raises is recorded as failed; if it shared a call with others, they are computed one by one.
    label : names the stage in progress lines and errors.
    recompute : remove what is there and start afresh.
    largest_failed : how many cases may fail.
    coupled : the kernel's arithmetic couples the cases of a block: ``simulate`` always gets whole blocks, and a block
        fails as a whole.
    numbers : arrays of a result that must not hold NaN; a case of which one does has failed.
    describe : inputs of a case in words, recorded with its failure.

    Returns
    -------
    FarmSummary; read the results with `understudy.farm.shards.read_cases`.

    Raises
    ------
    InputError
        On rank 0, while the other ranks raise `SystemExit`: another writer owns the folder, the disk is full, a case
        has two different results, or more than ``largest_failed`` cases failed (told after all others are safe).
    """
    key_folder = Path(folder) / key
    _check_blocks(blocks)
    comm = comm.Dup()
    processes = comm.gather(identify())
    owner: ownership.Owner | None = None

    def open_folder() -> _Attempt:
        nonlocal owner
        owner, attempt = _open_folder(key_folder, label, processes, blocks, recompute)
        return attempt

    attempt = first_rank(comm, open_folder)
    done = set(attempt.done.tolist())
    pending = _pending(blocks, done)
    watcher = monitor.start_monitor(_plan(key_folder, label, blocks, pending, done, attempt.number)) if owner else None
    start, cpu_start = time.monotonic(), time.process_time()
    try:
        work = _work(comm, key_folder, attempt.number, pending, done, simulate, coupled, numbers, describe)
        request = comm.Ibarrier()
        wait_asleep(request.Test)
        seconds, cpu_s = time.monotonic() - start, time.process_time() - cpu_start
    finally:
        if watcher is not None:
            monitor.stop_monitor(watcher)
    errors = _exchange_errors(comm, work)
    uses = comm.allgather(RankUse(seconds, cpu_s, work.busy_s, work.cases))

    def close_folder() -> FarmSummary:
        try:
            return _close_folder(key_folder, label, blocks, done, errors, uses, seconds, largest_failed)
        finally:
            ownership.release(owner)

    summary = first_rank(comm, close_folder)
    comm.Free()
    return summary


def _check_blocks(blocks: Sequence[Block]) -> None:
    indices = {block.index for block in blocks}
    cases = [case for block in blocks for case in block.cases]
    if len(indices) < len(blocks) or len(set(cases)) < len(cases):
        raise ValueError("found a block number or case number twice; accepted is each once")
    if min(indices, default=0) < 0 or min(cases, default=0) < 0:
        raise ValueError("found a negative block or case number; accepted are numbers >= 0")


def _open_folder(
    key_folder: Path, label: str, processes: Sequence[ProcessIdentity], blocks: Sequence[Block], recompute: bool
) -> tuple[ownership.Owner, _Attempt]:
    """Become the owner, repair the shards and find out what is done. Rank 0 only."""
    shards.prepare(key_folder, label)
    owner = ownership.acquire(key_folder, label, processes)
    try:
        (key_folder / shards.MERGED).unlink(missing_ok=True)
        last = max((number for number, _ in shards.shard_files(key_folder)), default=0)
        attempt = 1 + max(last, claims.remove_claims(key_folder))
        if recompute:
            removed = shards.remove_shards(key_folder)
            _say(label, f"--recompute: removed {removed} shards of earlier attempts")
        dropped = shards.cut_back(key_folder)
        if dropped:
            _say(label, f"dropped {dropped} bytes of unfinished records")
        index = shards.index_cases(key_folder)
        wanted = {case for block in blocks for case in block.cases}
        done = np.array([case for case in index if case in wanted], dtype=np.int64)
        if len(index):
            _say(label, f"reusing {len(done)} of {len(wanted)} cases finished before")
        claims.claims_folder(key_folder, attempt).mkdir()
    except BaseException:
        ownership.release(owner)
        raise
    return owner, _Attempt(attempt, done)


def _pending(blocks: Sequence[Block], done: set[int]) -> list[Block]:
    """Blocks with something missing, those with the longest expected rest first."""
    rest = []
    for block in blocks:
        missing = sum(case not in done for case in block.cases)
        if missing:
            rest.append(Block(block.index, block.cases, block.cost * missing / len(block.cases)))
    return claims.longest_first(rest)


def _plan(
    key_folder: Path, label: str, blocks: Sequence[Block], pending: Sequence[Block], done: set[int], attempt: int
) -> dict:
    """What the monitor needs to know."""
    costs = []
    for block in pending:
        missing = [case for case in block.cases if case not in done]
        costs += [(case, block.cost / len(missing)) for case in missing]
    return {
        "folder": str(key_folder),
        "owner": str(key_folder / ownership.OWNER),
        "label": label,
        "attempt": attempt,
        "costs": costs,
        "cost": sum(cost for _, cost in costs),
        "total": sum(len(block.cases) for block in blocks),
        "reused": len(done),
    }


def _work(
    comm,
    key_folder: Path,
    attempt: int,
    pending: Sequence[Block],
    done: set[int],
    simulate: Simulate,
    coupled: bool,
    numbers: Collection[str],
    describe: Callable[[int], str] | None,
) -> _Work:
    """Claim blocks and compute their missing cases until none is left or a rank gives up."""
    work = _Work()
    claim_folder = claims.claims_folder(key_folder, attempt)
    synced = time.monotonic()
    with contextlib.closing(frames.FrameWriter(shards.shard_path(key_folder, attempt, comm.rank))) as writer:
        try:
            for block in claims.claimed_blocks(claim_folder, pending):
                begin = time.monotonic()
                requested = block.cases if coupled else [case for case in block.cases if case not in done]
                for case, kind, payload in _records(simulate, requested, coupled, numbers, describe):
                    if case in done:
                        continue
                    writer.append(kind, case, payload)
                    work.cases += 1
                    if _stopped(comm):
                        break
                if time.monotonic() - synced > _SYNC_S:
                    writer.sync()
                    synced = time.monotonic()
                work.busy_s += time.monotonic() - begin
                if _stopped(comm):
                    break
            writer.sync()
        except Exception as error:
            work.error = error
            work.stop_messages = _stop_others(comm)
    return work


def _records(
    simulate: Simulate,
    requested: Sequence[int],
    coupled: bool,
    numbers: Collection[str],
    describe: Callable[[int], str] | None,
) -> Iterator[tuple[int, int, bytes]]:
    """(case, kind, payload) of every requested case, as each is finished."""
    left = list(requested)
    error: Exception | None = None
    try:
        results = iter(simulate(tuple(requested)))
    except Exception as caught:
        results, error = iter(()), caught
    while error is None:
        try:
            case, arrays = next(results)
        except StopIteration:
            break
        except Exception as caught:
            error = caught
            break
        if case not in left:
            raise RuntimeError(f"simulate yielded case {case}, which was not asked for or had been yielded before")
        payload = shards.encode_arrays(arrays)
        left.remove(case)
        bad = [name for name in numbers if np.isnan(arrays[name]).any()]
        if bad:
            reason = f"the physics gave NaN in {', '.join(bad)}"
            yield case, frames.FAILURE, shards.encode_failure(_failure(case, reason, describe))
        else:
            yield case, frames.RESULT, payload
    if error is None and left:
        raise RuntimeError(f"simulate ended without a result for cases {left}")
    if error is None:
        return
    if len(left) > 1 and not coupled:
        for case in left:
            yield from _records(simulate, [case], coupled, numbers, describe)
        return
    text = "".join(traceback.format_exception(error))
    for case in left:
        failure = _failure(case, f"{type(error).__name__}: {error}", describe, text)
        yield case, frames.FAILURE, shards.encode_failure(failure)


def _failure(case: int, reason: str, describe: Callable[[int], str] | None, text: str = "") -> Failure:
    return Failure(case, reason, describe(case) if describe else "", text)


def _stop_others(comm) -> list:
    """Tell the other ranks to stop after their present case; the requests, completed by `_exchange_errors`."""
    return [comm.isend(None, rank, tag=_STOP_TAG) for rank in range(comm.size) if rank != comm.rank]


def _stopped(comm) -> bool:
    return comm.size > 1 and comm.iprobe(tag=_STOP_TAG)


def _exchange_errors(comm, work: _Work) -> list[tuple[int, Exception]]:
    """(rank, error) of the ranks that gave up, on every rank; takes their stop messages off the network."""
    error = work.error
    everyone = comm.allgather(error if error is None or isinstance(error, InputError) else _portable(error))
    errors = [(rank, found) for rank, found in enumerate(everyone) if found is not None]
    for rank, _ in errors:
        if rank != comm.rank:
            comm.recv(source=rank, tag=_STOP_TAG)
    for request in work.stop_messages:
        request.wait()
    return errors


def _portable(error: Exception) -> RuntimeError:
    """An error that can travel between ranks whatever it holds."""
    return RuntimeError("".join(traceback.format_exception(error)).rstrip())


def _close_folder(
    key_folder: Path,
    label: str,
    blocks: Sequence[Block],
    done: set[int],
    errors: Sequence[tuple[int, Exception]],
    uses: Sequence[RankUse],
    seconds: float,
    largest_failed: int,
) -> FarmSummary:
    """Check that nothing is lost or doubled, judge the failed cases and print the closing line. Rank 0 only."""
    claims.remove_claims(key_folder)
    if errors:
        rank, error = errors[0]
        raise type(error)(f"{label}, rank {rank}: {error}")
    reader = shards.CaseReader(key_folder)
    wanted = [case for block in blocks for case in block.cases]
    lost = [case for case in wanted if case not in reader]
    if lost:
        raise RuntimeError(f"{key_folder}: cases {lost[:_NAMED_FAILURES]} were computed, but are not in the shards")
    failed = tuple(reader[case] for case in sorted(wanted) if reader.failed(case))
    computed = sum(use.cases for use in uses)
    summary = FarmSummary(len(wanted), len(done), computed, failed, seconds, tuple(uses))
    _say(label, closing_line(summary))
    if len(failed) > largest_failed:
        raise InputError(_failed_message(key_folder, label, summary, largest_failed))
    return summary


def closing_line(summary: FarmSummary) -> str:
    """Cases, time, rate, and how busy the ranks were."""
    parts = [f"{summary.total} cases done in {monitor.duration(summary.seconds)}"]
    if summary.reused:
        parts.append(f"{summary.reused} reused")
    if summary.failed:
        parts.append(f"{len(summary.failed)} failed")
    if summary.computed and summary.seconds > 0:
        parts.append(f"{summary.computed / summary.seconds:.3g} cases/s")
    line = ", ".join(parts)
    if not summary.computed:
        return line
    shares = [(use.cpu_s / use.wall_s, 1 - use.busy_s / use.wall_s) for use in summary.ranks]
    if len(shares) <= _RANKS_IN_LINE:
        each = [f"rank {rank} CPU {cpu:.0%}, idle {idle:.0%}" for rank, (cpu, idle) in enumerate(shares)]
    else:
        cpu, idle = zip(*shares, strict=True)
        each = [f"{len(shares)} ranks, CPU {min(cpu):.0%} to {max(cpu):.0%}, idle {min(idle):.0%} to {max(idle):.0%}"]
    return "; ".join([line, *each])


def _failed_message(key_folder: Path, label: str, summary: FarmSummary, largest_failed: int) -> str:
    lines = [
        f"{label}: {len(summary.failed)} of {summary.total} cases failed, accepted are {largest_failed} "
        f"(key largest_failed); the others are safe in {key_folder}"
    ]
    for failure in summary.failed[:_NAMED_FAILURES]:
        described = f" ({failure.description})" if failure.description else ""
        lines.append(f"  case {failure.case}{described}: {failure.reason}")
    if len(summary.failed) > _NAMED_FAILURES:
        lines.append(f"  and {len(summary.failed) - _NAMED_FAILURES} more")
    lines.append("  failed cases are not tried again; --recompute starts this stage afresh")
    return "\n".join(lines)


def _say(label: str, text: str) -> None:
    print(f"[{label}] {text}", file=sys.stderr, flush=True)
