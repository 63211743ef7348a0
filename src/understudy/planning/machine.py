"""How long a run takes on given ranks and nodes: a stated model of start-up, imbalance, file system and scheduling.

Seconds of a job on R ranks, N nodes:

    start-up      start_s + (N > 1) opens x R / opens_per_s     every rank opens the same files, one server answers
    alone         serial_s                                      set-up and merge on the first rank; other rules whole
    shared        max(L, F / R + L / 2 (1 - 1 / R))             F core seconds in blocks, the longest L
    file system   (N > 1) (2 x results / bandwidth + blocks / opens_per_s)    shards and results; one claim per block
    queue         queue_s                                       per job under a scheduler

Jobs then run as soon as what they read is there and cores are free, the one with most work behind it first; on one
node they share its cores, on several each is a job of its own. Start-up, serial, shared and sizes are measured
(`understudy.planning.costs`); the file system's and the queue's figures are assumptions that options change.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, replace

from understudy.planning.costs import Estimate
from understudy.planning.options import BANDWIDTH_MB_PER_S, OPENS_PER_S
from understudy.planning.report_work import SHARED

# Files that a program opens while it starts, those of simulate_thresholds by `strace -f -c -e trace=openat`.
OPENS_PER_START = 2700
# What Snakemake itself takes between jobs: choosing, starting a shell, cleaning up.
BETWEEN_JOBS_S = 0.5


@dataclass(frozen=True)
class Machine:
    """Where a run is planned for.

    Attributes
    ----------
    ranks : MPI ranks of a farmed rule.
    nodes : nodes; on more than one, jobs go through a scheduler.
    cores : cores of a node that the run may use.
    memory_GB : of a node; None where it is not judged.
    queue_s : wait of each job before it starts.
    opens_per_s : files that the shared file system opens each second.
    bandwidth_MB_per_s : of the shared file system.
    """

    ranks: int
    nodes: int = 1
    cores: int = 2
    memory_GB: float | None = None
    queue_s: float = 0.0
    opens_per_s: float = OPENS_PER_S
    bandwidth_MB_per_s: float = BANDWIDTH_MB_PER_S

    @property
    def shared(self) -> bool:
        """Whether jobs run on several nodes with a file system between them."""
        return self.nodes > 1


@dataclass(frozen=True)
class Planned:
    """One job in the plan: when it runs, on how many cores, and what its seconds go to."""

    estimate: Estimate
    ranks: int
    cores: int
    start_s: float
    start_up_s: float
    alone_s: float
    shared_s: float
    files_s: float
    queue_s: float

    @property
    def wall_s(self) -> float:
        """Elapsed seconds of the job, its wait in the queue included."""
        return self.queue_s + self.start_up_s + self.alone_s + self.shared_s + self.files_s

    @property
    def end_s(self) -> float:
        """When it ends."""
        return self.start_s + self.wall_s


def placed(estimate: Estimate, machine: Machine) -> Planned:
    """A job on this machine, not yet scheduled."""
    ranks = estimate.ranks(machine.ranks)
    start_up = estimate.start_s
    files = 0.0
    if machine.shared:
        start_up += OPENS_PER_START * ranks / machine.opens_per_s
        blocks = estimate.work.blocks if estimate.work.farmed is not None else 0
        written = estimate.disk_MB * (2 if blocks else 1)
        files = written / machine.bandwidth_MB_per_s + blocks / machine.opens_per_s
    return Planned(
        estimate=estimate,
        ranks=ranks,
        cores=ranks if estimate.work.farmed is not None else min(estimate.work.threads, machine.cores),
        start_s=0.0,
        start_up_s=start_up,
        alone_s=estimate.serial_s,
        shared_s=estimate.wall_s(ranks) - estimate.start_s - estimate.serial_s,
        files_s=files,
        queue_s=machine.queue_s if machine.shared else BETWEEN_JOBS_S,
    )


def needs(estimates: Mapping[str, Estimate]) -> dict[str, tuple[str, ...]]:
    """Jobs whose results each job reads, by name; the audit waits for all of every study."""
    found = {}
    for name, each in estimates.items():
        if each.study == SHARED:
            own = [other for other, one in estimates.items() if one.study != SHARED]
            found[name] = (*own, *each.work.after)
        else:
            found[name] = tuple(f"{each.study}.{rule}" for rule in each.work.after)
    return found


def critical_s(jobs: Mapping[str, Planned], after: Mapping[str, tuple[str, ...]]) -> dict[str, float]:
    """Seconds from the start of each job to the end of the run if cores were without number."""
    readers: dict[str, list[str]] = {name: [] for name in jobs}
    for name, earlier in after.items():
        for one in earlier:
            readers[one].append(name)
    left: dict[str, float] = {}

    def remaining(name: str) -> float:
        if name not in left:
            left[name] = jobs[name].wall_s + max((remaining(reader) for reader in readers[name]), default=0.0)
        return left[name]

    return {name: remaining(name) for name in jobs}


def scheduled(estimates: Mapping[str, Estimate], machine: Machine) -> list[Planned]:
    """All jobs with the time at which each starts, in that order."""
    jobs = {name: placed(each, machine) for name, each in estimates.items()}
    after = needs(estimates)
    urgency = critical_s(jobs, after)
    # A farmed rule takes what it was given even where the node has fewer cores: it then has the node to itself.
    free = machine.nodes * machine.cores
    total = free
    waiting = dict(after)
    done: set[str] = set()
    running: list[tuple[float, str]] = []
    planned: list[Planned] = []
    now = 0.0
    while waiting or running:
        ready = sorted(
            (name for name, earlier in waiting.items() if done.issuperset(earlier)), key=lambda name: -urgency[name]
        )
        for name in ready:
            job = jobs[name]
            cores = min(job.cores, total)
            if cores > free:
                continue
            free -= cores
            del waiting[name]
            at = replace(job, start_s=now)
            planned.append(at)
            heapq.heappush(running, (at.end_s, name))
        now, ended = heapq.heappop(running)
        done.add(ended)
        free += min(jobs[ended].cores, total)
    return planned
