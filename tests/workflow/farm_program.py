"""Artificial cases with chosen durations through the real farm: what the farm's tests and its benchmark run.

Each case draws from its own seed sequence, waits or computes for its duration, and appends to a log when it starts and
when its result is ready. Rank 0 merges the results into a ground-truth file.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from pathlib import Path

import numpy as np

from understudy.dataset import Field, write_ground_truth
from understudy.errors import InputError
from understudy.farm.cases import run_cases
from understudy.farm.claims import Block, fixed_blocks
from understudy.farm.communicator import check_ranks, together, world
from understudy.farm.keys import stage_key
from understudy.farm.seeds import case_sequence
from understudy.farm.shards import Failure, mark_merged, read_cases

SAMPLES = 20
SWEEPS_PER_S = 25_000


class EventLog:
    """Lines of (time, event, case, process) in a file shared by all ranks."""

    def __init__(self, path: Path):
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def add(self, event: str, case: int) -> None:
        os.write(self._descriptor, f"{time.monotonic():.6f} {event} {case} {os.getpid()}\n".encode())


def spend(seconds: float, compute: bool) -> None:
    """Wait, or do a fixed amount of arithmetic that takes about this long."""
    if not compute:
        time.sleep(seconds)
        return
    values = np.linspace(0.0, 1.0, 20_000)
    for _ in range(round(seconds * SWEEPS_PER_S)):
        values = np.sqrt(values * values + 1e-9)


def result(case: int, factor: float) -> dict[str, np.ndarray]:
    """The result of a case: bits from its own stream and the parameter only."""
    random = np.random.default_rng(case_sequence(7, 9, 0, case))
    history = random.standard_normal((1, SAMPLES)).astype(np.float32)
    return {"history": history, "target": factor * np.array([history.max(), history.mean()], dtype=np.float64)}


def merge(arguments: argparse.Namespace, key: str) -> None:
    """Write all cases into one ground-truth file."""
    cases = read_cases(arguments.folder, key)
    numbers = list(cases)
    histories = np.full((len(numbers), 1, SAMPLES), np.nan, dtype=np.float32)
    targets = np.full((len(numbers), 2), np.nan)
    failed = []
    for row, number in enumerate(numbers):
        found = cases[number]
        failed.append(found.reason if isinstance(found, Failure) else "")
        if not isinstance(found, Failure):
            histories[row], targets[row] = found["history"], found["target"]
    group = np.array(numbers) % 5
    write_ground_truth(
        arguments.dataset,
        study="artificial",
        inputs=histories,
        targets=targets,
        case=numbers,
        group=group,
        split=np.where(group == 4, "heldout", "training"),
        subset=["sampled"] * len(numbers),
        failed=failed,
        channels=[Field("history", "1")],
        target_fields=[Field("largest", "1"), Field("mean", "1")],
        group_names=[f"group {index}" for index in range(5)],
        input_step=1.0,
        input_step_unit="ms",
    )
    mark_merged(arguments.folder, key)


def key_of(arguments: argparse.Namespace) -> str:
    return stage_key({"factor": arguments.factor, "cases": arguments.cases}, "sha256:artificial", {}, 7)


def parsed(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--ranks", type=int, default=1)
    parser.add_argument("--cases", type=int, default=40)
    parser.add_argument("--block-size", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=0.0, help="duration of a case")
    parser.add_argument("--long-block", type=float, default=0.0, help="last block has one case, this much longer")
    parser.add_argument("--compute", action="store_true", help="use the processor instead of waiting")
    parser.add_argument("--factor", type=float, default=1.0, help="the physics' parameter")
    parser.add_argument("--payload", type=int, default=0, help="extra bytes per result")
    parser.add_argument("--fail", type=int, nargs="*", default=[], help="cases that raise")
    parser.add_argument("--nan", type=int, nargs="*", default=[], help="cases whose result is NaN")
    parser.add_argument("--largest-failed", type=int, default=0)
    parser.add_argument("--coupled", action="store_true")
    parser.add_argument("--recompute", action="store_true")
    parser.add_argument("--file-limit", type=int, default=0, help="largest file in bytes, on rank 0")
    parser.add_argument("--break-rank", type=int, default=-1, help="rank that raises outside the farm")
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--dataset", type=Path)
    parser.add_argument("--summary", type=Path)
    return parser.parse_args(words)


def run(arguments: argparse.Namespace) -> None:
    comm = world()
    check_ranks(comm, arguments.ranks)
    log = EventLog(arguments.log)
    key = key_of(arguments)
    blocks = fixed_blocks(range(arguments.cases), arguments.block_size)
    seconds = dict.fromkeys(range(arguments.cases), arguments.seconds)
    if arguments.long_block:
        last = arguments.cases
        seconds[last] = arguments.seconds * arguments.block_size * arguments.long_block
        blocks.append(Block(len(blocks), (last,), arguments.block_size * arguments.long_block))
    if arguments.file_limit and comm.rank == 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (arguments.file_limit, arguments.file_limit))

    def simulate(cases):
        for case in cases:
            log.add("start", case)
            spend(seconds[case], arguments.compute)
            if case in arguments.fail:
                raise FloatingPointError(f"no equilibrium in case {case}")
            log.add("end", case)
            found = result(case, arguments.factor)
            if case in arguments.nan:
                found["target"][0] = np.nan
            yield case, {**found, "extra": np.zeros(arguments.payload, dtype=np.uint8)}

    with together(comm):
        if comm.rank == arguments.break_rank:
            raise ArithmeticError("broken on purpose")
        summary = run_cases(
            comm,
            folder=arguments.folder,
            key=key,
            blocks=blocks,
            simulate=simulate,
            label="artificial",
            recompute=arguments.recompute,
            largest_failed=arguments.largest_failed,
            coupled=arguments.coupled,
            numbers=("target",),
            describe=lambda case: f"peak {case / 10:.1f}",
        )
        if comm.rank == 0:
            if arguments.dataset:
                merge(arguments, key)
            if arguments.summary:
                use = [vars(rank) for rank in summary.ranks]
                text = {"reused": summary.reused, "computed": summary.computed, "ranks": use}
                arguments.summary.write_text(json.dumps(text))


def main() -> None:
    try:
        run(parsed())
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
