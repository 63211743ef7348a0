"""The farm under test: efficiency of two ranks, and rounds of kill -9 with resume.

    python benchmarks/farm.py                      efficiency of 2 ranks against 1, interleaved
    python benchmarks/farm.py --kill-rounds 50     kill rank, launcher or workflow at random moments, then resume

Both run artificial cases (tests/workflow/farm_program.py) through the real farm. A kill round starts the program below
a stand-in for Snakemake, kills one of its processes at a random moment, ends what lives on as an orphan, and starts
again, up to three times; then lets it finish. A case counts as finished when its record is whole in a shard.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import hashlib
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from understudy.farm.frames import scan_frames
from understudy.farm.ownership import Owner, is_owned, live_owners, stop_owner
from understudy.farm.processes import ProcessIdentity, identify
from understudy.farm.shards import shard_files

PROGRAM = Path(__file__).resolve().parents[1] / "tests" / "workflow" / "farm_program.py"
MPIEXEC = Path(sys.executable).with_name("mpiexec")
STAND_IN = "import subprocess, sys\nsys.exit(subprocess.call(sys.argv[1:]))\n"
CASES = 60
CASE_S = 0.01
TARGETS = ("rank", "launcher", "workflow")
WRONG = ("second_writers_admitted", "recomputed", "lost", "doubled", "different_files", "survivors")


def command(ranks: int, arguments: list[str]) -> list[str]:
    """Command line of the program on this many ranks; one rank needs no launcher."""
    launcher = [str(MPIEXEC), "-n", str(ranks)] if ranks > 1 else []
    return [*launcher, sys.executable, str(PROGRAM), "--ranks", str(ranks), *arguments]


@dataclass
class Tally:
    """What the kill rounds found; the figures of `WRONG` must stay zero."""

    rounds: int = 0
    kills: collections.Counter = field(default_factory=collections.Counter)
    orphans_stopped: int = 0
    second_writers_refused: int = 0
    second_writers_admitted: int = 0
    cases_in_flight: int = 0
    torn_records: int = 0
    recomputed: int = 0
    lost: int = 0
    doubled: int = 0
    different_files: int = 0
    survivors: int = 0

    def as_json(self) -> dict:
        return {**vars(self), "kills": dict(sorted(self.kills.items()))}


class Round:
    """One folder that is filled, killed and resumed."""

    def __init__(self, folder: Path, seed: int, tally: Tally):
        self.random = random.Random(seed)
        self.tally = tally
        self.run = folder / "run"
        self.shards = self.run / ".work" / "artificial"
        self.log = folder / "log"
        self.errors = folder / "errors"
        self.dataset = folder / "dataset.h5"
        self.stand_in = folder / "snakemake"
        self.stand_in.write_text(STAND_IN)
        # Large results are still being written when the kill comes.
        self.payload = self.random.choice((0, 2_000_000))
        self.log.touch()

    def command(self, ranks: int) -> list[str]:
        words = ["--folder", str(self.shards), "--cases", str(CASES), "--seconds", str(CASE_S), "--log", str(self.log)]
        return command(ranks, [*words, "--payload", str(self.payload), "--dataset", str(self.dataset)])

    def finished(self) -> collections.Counter:
        """How many whole records each case has."""
        found: collections.Counter = collections.Counter()
        for key_folder in self.shards.iterdir() if self.shards.is_dir() else ():
            for _, path in shard_files(key_folder):
                found.update(frame.case for frame in scan_frames(path, verify=True)[0])
        return found

    def torn(self) -> int:
        """Shards that end within a record."""
        shards = [path for folder in self.shards.glob("*") for _, path in shard_files(folder)]
        return sum(scan_frames(path, verify=True)[1] < path.stat().st_size for path in shards)

    def events(self, start: int = 0) -> list[list[str]]:
        return [line.split() for line in self.log.read_text()[start:].splitlines()]

    def attempt_and_kill(self) -> None:
        """Start, kill something at a random moment, and check that what was finished stayed so."""
        before = self.finished()
        start = self.log.stat().st_size
        ranks = self.random.choice((1, 2, 2, 3))
        target = self.random.choice(TARGETS if ranks > 1 else ("rank", "workflow"))
        moment = self.random.randint(0, CASES - len(before))
        with open(self.errors, "ab") as errors:
            top = subprocess.Popen(
                [sys.executable, str(self.stand_in), *self.command(ranks)], stderr=errors, stdout=errors
            )
            while sum(event[1] == "start" for event in self.events(start)) < moment and top.poll() is None:
                time.sleep(0.002)
            time.sleep(self.random.uniform(0, 3 * CASE_S))
            family = descendants(top.pid) if top.poll() is None else []
            self.kill(top, family, target)
            top.wait()
        if target == "workflow":
            self.end_orphan(family)
        self.tally.survivors += sum(not ended(process, time.monotonic() + 10) for process in family)
        self.tally.torn_records += self.torn()
        self.check(before, start, ranks)

    def kill(self, top: subprocess.Popen, family: list[ProcessIdentity], target: str) -> None:
        """SIGKILL the chosen process of the job; which one is random among ranks."""
        chosen: list[int] = []
        for process in family:
            try:
                words = psutil.Process(process.pid).cmdline()
            except psutil.Error:
                continue
            if target == "rank" and words[:2] == [sys.executable, str(PROGRAM)]:
                chosen.append(process.pid)
            if target == "launcher" and words[:1] == [str(MPIEXEC)]:
                chosen.append(process.pid)
        if target == "workflow" and top.poll() is None:
            chosen = [top.pid]
        if chosen:
            try:
                os.kill(self.random.choice(chosen), signal.SIGKILL)
                self.tally.kills[target] += 1
            except ProcessLookupError:
                self.tally.kills["too late"] += 1
        else:
            self.tally.kills["too late"] += 1

    def end_orphan(self, family: list[ProcessIdentity]) -> None:
        """Find the job that outlived its workflow, see that it keeps others out, and stop it."""
        deadline = time.monotonic() + 10
        owners = live_owners(self.run)
        while not owners and any(process.alive() for process in family) and time.monotonic() < deadline:
            # Killed before it owned anything: it will in a moment.
            time.sleep(0.01)
            owners = live_owners(self.run)
        for owner in owners:
            # Held still, so that it cannot finish before the second writer looks.
            self.signal(owner, signal.SIGSTOP)
            if is_owned(owner.folder):
                second = subprocess.run(self.command(1), capture_output=True, text=True)
                refused = second.returncode == 2 and "another writer" in second.stderr
                self.tally.second_writers_refused += refused
                self.tally.second_writers_admitted += not refused
            self.signal(owner, signal.SIGCONT)
            if owner.orphan:
                stop_owner(owner)
                self.tally.orphans_stopped += 1

    def signal(self, owner: Owner, number: signal.Signals) -> None:
        for process in owner.processes:
            if process.alive():
                os.kill(process.pid, number)

    def check(self, before: collections.Counter, start: int, ranks: int) -> None:
        after = self.finished()
        events = self.events(start)
        started = collections.Counter(int(case) for _, event, case, _ in events if event == "start")
        computed = {int(case) for _, event, case, _ in events if event == "end"}
        self.tally.recomputed += sum(case in before for case in started)
        self.tally.doubled += sum(count > 1 for count in started.values()) + sum(n > 1 for n in after.values())
        self.tally.lost += sum(case not in after for case in before)
        in_flight = len([case for case in computed if case not in after])
        self.tally.cases_in_flight += in_flight
        # A rank can lose the one result that it had computed but not yet stored, never more.
        self.tally.lost += max(0, in_flight - ranks)

    def finish(self, expected: str) -> None:
        before, start = self.finished(), self.log.stat().st_size
        ranks = self.random.choice((1, 2, 3))
        done = subprocess.run(self.command(ranks), capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"resume failed with {done.returncode}:\n{done.stderr}")
        self.check(before, start, ranks)
        self.tally.lost += CASES - len(self.finished())
        self.tally.different_files += digest(self.dataset) != expected


def descendants(pid: int) -> list[ProcessIdentity]:
    """All living processes below this one."""
    found = []
    for process in psutil.Process(pid).children(recursive=True):
        with contextlib.suppress(ProcessLookupError):
            found.append(identify(process.pid))
    return found


def ended(process: ProcessIdentity, deadline: float) -> bool:
    """Wait until a process is gone or a zombie; False if it lives on at the deadline."""
    while process.alive():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def kill_rounds(rounds: int, seed: int) -> Tally:
    """Run this many rounds; every random choice follows from ``seed``, the exact moments from the machine."""
    tally = Tally()
    with tempfile.TemporaryDirectory() as name:
        reference = Round(_new(Path(name) / "reference"), seed, Tally())
        subprocess.run(reference.command(1), check=True, capture_output=True)
        expected = digest(reference.dataset)
        for number in range(rounds):
            one = Round(_new(Path(name) / f"{number}"), seed * 10_000 + number, tally)
            for _ in range(one.random.randint(1, 3)):
                one.attempt_and_kill()
            one.finish(expected)
            tally.rounds += 1
    return tally


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder


def efficiency(rounds: int) -> dict[str, list[float]]:
    """Per round: efficiency of two ranks by CPU time and by wall-clock time, and the largest idle share."""
    figures: dict[str, list[float]] = {"cpu": [], "wall": [], "idle": []}
    with tempfile.TemporaryDirectory() as name:
        for number in range(rounds):
            uses = {}
            for ranks in (1, 2):
                summary = Path(name) / f"{number}-{ranks}.json"
                words = ["--folder", str(Path(name) / summary.stem), "--log", str(Path(name) / "log")]
                words += ["--cases", "80", "--block-size", "4", "--seconds", "0.05", "--compute"]
                full = command(ranks, [*words, "--summary", str(summary)])
                subprocess.run(full, check=True, capture_output=True)
                uses[ranks] = json.loads(summary.read_text())["ranks"]
            alone = uses[1][0]
            figures["cpu"].append(alone["cpu_s"] / (2 * max(use["cpu_s"] for use in uses[2])))
            figures["wall"].append(alone["wall_s"] / (2 * uses[2][0]["wall_s"]))
            figures["idle"].append(max(1 - use["busy_s"] / use["wall_s"] for use in uses[2]))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kill-rounds", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of the efficiency benchmark")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    start = time.monotonic()
    if arguments.kill_rounds:
        tally = kill_rounds(arguments.kill_rounds, arguments.seed)
        figures = tally.as_json()
        for name, value in figures.items():
            print(f"{name:>24}: {value}")
        bad = sum(figures[name] for name in WRONG)
    else:
        figures = efficiency(arguments.rounds)
        for name, values in figures.items():
            print(f"2 ranks, {name:>5}: median {statistics.median(values):.3f} ({min(values):.3f}-{max(values):.3f})")
        bad = 0
    print(f"{'seconds':>24}: {time.monotonic() - start:.0f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures))
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
