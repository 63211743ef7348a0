"""What the house itself costs: imports, provenance, audit, the workflow's graph, the farm on two ranks and on many.

    python benchmarks/overheads.py                 all, each beside its limit
    python benchmarks/overheads.py imports farm    some

Limits are judged by processor time, which other work on the machine hardly changes; elapsed time stands beside it.
On many ranks the farm is simulated: its own code claims blocks of a made-up stage in a real folder, while the clock of
each rank is a number that a claim's real time, an assumed answer of a shared file system and the block's work advance.
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from farm import efficiency

from understudy.farm.claims import claimed_blocks, fixed_blocks, longest_first
from understudy.provenance.job import job
from understudy.provenance.record import records_in
from understudy.provenance.run_folder import file_sha256

REPOSITORY = Path(__file__).resolve().parents[1]
IMPORT_S, JOB_S, JOB_SHARE, AUDIT_S, GRAPH_S = 1.5, 0.3, 0.02, 60.0, 5.0
# Modules of a program as it starts, without running it.
_IMPORT = (
    "import json, os, runpy, sys, time; sys.path.insert(0, os.getcwd()); wall = time.perf_counter();"
    "runpy.run_path(sys.argv[1], run_name='imported');"
    "heavy = [name for name in ('torch', 'neuron') if name in sys.modules];"
    "print(json.dumps([time.process_time(), time.perf_counter() - wall, heavy]))"
)
RANKS, BLOCKS_PER_RANK, SPREAD, BLOCK_S, ANSWER_S = 1000, 8, 0.3, 1.0, 0.001
# A share says nothing of a job that is over in a moment.
_LEAST_JOB_S = 15.0


def say(name: str, found: str, limit: str = "", missed: bool = False) -> bool:
    """Print one figure; whether it missed its limit."""
    print(f"{name:<46} {found:<44} {limit}{'  MISSED' if missed else ''}", flush=True)
    return missed


def imports(rounds: int) -> int:
    """Seconds until each program's modules are there: the least of some rounds."""
    missed = 0
    for script in sorted((REPOSITORY / "scripts").glob("*.py")):
        found = []
        for _ in range(rounds):
            done = subprocess.run(
                [sys.executable, "-c", _IMPORT, str(script)], capture_output=True, text=True, check=True, cwd=REPOSITORY
            )
            found.append(json.loads(done.stdout.splitlines()[-1]))
        cpu, wall, heavy = min(found)
        words = f"{cpu:.2f} s of a core, {wall:.2f} s elapsed"
        if heavy:
            say(f"imports, {script.stem}", words, f"(with {' and '.join(heavy)})")
        else:
            missed += say(f"imports, {script.stem}", words, f"below {IMPORT_S} s", cpu >= IMPORT_S)
    return missed


class Stopwatch:
    """Processor seconds of this process and its ended children, and elapsed ones, since it was made."""

    def __init__(self) -> None:
        self.start = self._now()

    @staticmethod
    def _now() -> tuple[float, float]:
        uses = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return sum(use.ru_utime + use.ru_stime for use in uses), time.perf_counter()

    def read(self) -> tuple[float, float]:
        cpu, wall = self._now()
        return cpu - self.start[0], wall - self.start[1]


def provenance(rounds: int) -> int:
    """Seconds that records cost an empty job, and the share of the published jobs' time that they and hashing take."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        given, large = folder / "input", folder / "large"
        given.write_bytes(os.urandom(10**6))
        large.write_bytes(os.urandom(2 * 10**8))
        times = []
        for number in range(rounds + 1):
            watch = Stopwatch()
            with job(
                program="share_cells",
                inputs={"input": given},
                outputs={"output": folder / f"output{number}"},
                parameters={"number": number},
                run_folder=folder,
            ) as this:
                this.temporary("output").write_bytes(b"x")
            times.append(watch.read())
        watch = Stopwatch()
        file_sha256(large)
        rate_MB_per_s = 200 / watch.read()[0]
    # The first parses every module for the fingerprint, as each program does once.
    (cpu, wall), again = times[0], min(times[1:])
    missed = say(
        "provenance, a job's record",
        f"{cpu:.3f} s of a core, {wall:.3f} s elapsed",
        f"below {JOB_S} s (once more {again[0]:.3f} s)",
        cpu >= JOB_S,
    )
    say("provenance, hashing", f"{rate_MB_per_s:.0f} MB a second of a core")
    shares, whole_s, ours_s = {}, 0.0, 0.0
    for record in records_in(REPOSITORY / "results" / "reference").values():
        farm = record["notes"].get("farm")
        seconds = record["time"]["cpu_s"]
        if farm:
            # Elapsed time of ranks with a core of their own: the first one's.
            seconds = max(seconds, farm["ranks"][0]["cpu_s"])
        hashed_MB = sum(entry["size"] for kind in ("inputs", "outputs") for entry in record[kind]) / 1e6
        own = cpu + hashed_MB / rate_MB_per_s
        whole_s, ours_s = whole_s + seconds, ours_s + own
        if seconds >= _LEAST_JOB_S:
            shares[f"{record['study']}.{record['program']}"] = own / seconds
    missed += say(
        "provenance, share of the published jobs' time",
        f"{ours_s / whole_s:.2%} of {whole_s:.0f} s",
        f"below {JOB_SHARE:.0%}",
        ours_s / whole_s >= JOB_SHARE,
    )
    above = {name: share for name, share in sorted(shares.items(), key=lambda item: -item[1]) if share >= JOB_SHARE}
    missed += say(
        f"provenance, jobs of {_LEAST_JOB_S:.0f} s or more above {JOB_SHARE:.0%}",
        f"{len(above)} of {len(shares)}",
        ", ".join(f"{name} {share:.1%}" for name, share in above.items()),
        bool(above),
    )
    return missed


def _timed(command: list[str], rounds: int) -> tuple[float, float]:
    """Least processor and elapsed seconds of a command that must succeed."""
    found = []
    for _ in range(rounds):
        watch = Stopwatch()
        subprocess.run(command, capture_output=True, check=True, cwd=REPOSITORY)
        found.append(watch.read())
    return min(found)


def audit(rounds: int) -> int:
    """Seconds of the audit of the published results."""
    command = [sys.executable, "-c", "from understudy.cli import main; main()", "audit", "results/reference"]
    cpu, wall = _timed(command, min(rounds, 2))
    words = f"{cpu:.1f} s of a core, {wall:.1f} s elapsed"
    return say("audit of results/reference", words, f"below {AUDIT_S:.0f} s", cpu >= AUDIT_S)


def graph(rounds: int) -> int:
    """Seconds of `snakemake -n` at the published scale, all studies."""
    # A run of its own: the graph of jobs that are all to be done is the largest.
    command = [sys.executable, "-m", "snakemake", "-n", "--quiet", "all", "--forceall", "--config", "run=overheads"]
    try:
        cpu, wall = _timed(command, rounds)
    finally:
        shutil.rmtree(REPOSITORY / "results" / "overheads", ignore_errors=True)
    words = f"{cpu:.1f} s of a core, {wall:.1f} s elapsed"
    return say("graph of the published scale (snakemake -n)", words, f"below {GRAPH_S:.0f} s", cpu >= GRAPH_S)


def simulated(ranks: int, blocks_per_rank: int, seed: int = 1) -> tuple[float, float, float]:
    """Efficiency of a farm on many ranks, a claim's mean seconds here, and the efficiency without any claims.

    Work of a block is lognormal with a relative spread of `SPREAD` about `BLOCK_S`, and known only that well: the
    expected effort by which blocks are ordered is the work itself times another such factor.
    """
    rng = np.random.default_rng(seed)
    count = ranks * blocks_per_rank
    work = BLOCK_S * rng.lognormal(-(SPREAD**2) / 2, SPREAD, count)
    expected = work * rng.lognormal(0, SPREAD, count)
    ordered = longest_first(fixed_blocks(range(count), 1, expected.tolist()))
    ends, claiming = np.zeros(ranks), 0.0
    with tempfile.TemporaryDirectory() as folder:
        claims = [iter(claimed_blocks(Path(folder), ordered)) for _ in range(ranks)]
        clocks = [(0.0, rank) for rank in range(ranks)]
        while clocks:
            clock, rank = heapq.heappop(clocks)
            start = time.perf_counter()
            block = next(claims[rank], None)
            claiming += time.perf_counter() - start
            # A refused creation, a listing and a creation, each answered by a server far away.
            clock += time.perf_counter() - start + 3 * ANSWER_S
            ends[rank] = clock
            if block is not None:
                heapq.heappush(clocks, (clock + work[block.index], rank))
    free = np.zeros(ranks)
    for block in ordered:
        earliest = int(free.argmin())
        free[earliest] += work[block.index]
    return work.sum() / (ranks * ends.max()), claiming / (count + ranks), work.sum() / (ranks * free.max())


def farm(rounds: int) -> int:
    """Efficiency of the farm on two real ranks, and of 1,000 simulated ones."""
    for name, values in efficiency(rounds).items():
        say(f"farm, 2 ranks, {name}", f"median {statistics.median(values):.3f} ({min(values):.3f}-{max(values):.3f})")
    for blocks in (2, BLOCKS_PER_RANK):
        found, claim_s, without = simulated(RANKS, blocks)
        say(
            f"farm, {RANKS} simulated ranks, {blocks} blocks each",
            f"{found:.3f}, {without:.3f} if claims were free",
            f"({1e3 * claim_s:.1f} ms a claim here)",
        )
    return 0


PARTS: dict[str, Callable[[int], int]] = {
    "imports": imports,
    "provenance": provenance,
    "audit": audit,
    "graph": graph,
    "farm": farm,
}


def main() -> bool:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help=f"out of {', '.join(PARTS)}; all by default")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    unknown = set(arguments.parts) - PARTS.keys()
    if unknown:
        parser.error(f"found {', '.join(sorted(unknown))}; accepted are {', '.join(PARTS)}")
    missed = sum(PARTS[part](arguments.rounds) for part in arguments.parts or PARTS)
    print(f"{missed} limit(s) missed")
    return missed > 0


if __name__ == "__main__":
    sys.exit(main())
