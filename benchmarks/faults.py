"""Kills at random moments over the three studies, each followed by `understudy resume`.

    python benchmarks/faults.py                                   fifty kills
    python benchmarks/faults.py --rounds 5 --seed 3 --json FILE    five others, figures kept
    python benchmarks/faults.py --rounds 2 --studies tms --against results/tiny_tms --targets tms/surrogate/metrics.json

The three studies, in one run at their smallest scale, end undisturbed once (or a run that has ended so is named). Then
the same run starts from nothing in a copy of the project; at a random moment a random process of it is killed (SIGKILL;
or everything gets SIGTERM, as from a cancelled job), the run is resumed as a user would, killed again, and so on.
Whenever it reaches its end its results are compared with those of the undisturbed run, and it starts from nothing
again, until there were as many kills as asked for and the last run has ended. With targets a run ends where these are
made, and what it made is compared.

What was finished when a kill came is noted: jobs that Snakemake had taken down, cases whole in a shard, trained
networks and verified parts. None of it may be made again.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import yaml
from finished_work import Finished, content, differences, finished

REPOSITORY = Path(__file__).resolve().parents[1]
PARTS = ("Snakefile", "rules", "scripts", "src", "config", "profiles", "workflow", "envs", "pyproject.toml")
CONFIGURATIONS = {"axon": "tiny.yaml", "tms": "tiny_tms.yaml", "calcium": "tiny_calcium.yaml"}
RUN = "faults"
VICTIMS = ("snakemake", "launcher", "rank", "trainer", "other program", "cancelled")
TRAINERS = re.compile(r"scripts/(train|cross_validate|measure_learning_curve|compare)_?\w*\.py")
# Kills come up to so many seconds after the first job of an attempt began: then a run of all studies from nothing to
# its end meets some twenty.
LONGEST_WAIT_S = 20.0
# All of a run has ended so long after a kill, as SLURM's KillWait has it.
END_S = 30.0
# A kind of process that does not show up for so long is given up for any that is there.
PATIENCE_S = 10.0
WRONG = ("jobs_made_again", "cases_lost", "cases_doubled", "pieces_made_again", "different_results", "survivors")


@dataclass
class Tally:
    """What the kills did; the figures of `WRONG` must stay zero."""

    kills: collections.Counter = field(default_factory=collections.Counter)
    runs_finished: int = 0
    entries_compared: int = 0
    jobs_kept: int = 0
    jobs_not_yet_noted: int = 0
    cases_kept: int = 0
    pieces_kept: int = 0
    jobs_made_again: int = 0
    cases_lost: int = 0
    cases_doubled: int = 0
    pieces_made_again: int = 0
    different_results: int = 0
    survivors: int = 0
    snakemakes_killed_after_cancel: int = 0

    def as_json(self) -> dict:
        return {**vars(self), "kills": dict(sorted(self.kills.items()))}


def compare(before: Finished, after: Finished, tally: Tally) -> None:
    """Note what was finished before and was made again, lost or doubled since."""
    tally.jobs_kept += len(before.jobs)
    tally.cases_kept += len(before.cases)
    tally.pieces_kept += len(before.pieces)
    present = after.jobs | after.unnoted
    for what, old, new in (("jobs", before.jobs, present), ("pieces", before.pieces, after.pieces)):
        for name, mark in old.items():
            if new.get(name) != mark:
                print(f"  made again: {name}")
                setattr(tally, f"{what}_made_again", getattr(tally, f"{what}_made_again") + 1)
    tally.jobs_not_yet_noted += sum(present.get(name) != job for name, job in before.unnoted.items())
    for (place, case), digests in before.cases.items():
        if digests[0] not in after.cases.get((place, case), ()):
            print(f"  lost: case {case} of {place}")
            tally.cases_lost += 1
    for (place, case), digests in after.cases.items():
        if len(digests) > 1:
            print(f"  doubled: case {case} of {place}")
            tally.cases_doubled += 1


class Run:
    """Studies at their smallest scale below one project folder."""

    def __init__(self, folder: Path, studies: Sequence[str], targets: Sequence[str] = ()):
        self.folder = folder
        self.targets = [f"results/{RUN}/{target}" for target in targets]
        folder.mkdir(parents=True)
        for part in PARTS:
            source = REPOSITORY / part
            if source.is_dir():
                # Compiled kernels go along: compiling them takes minutes.
                shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("*.pyc", "*.egg-info"))
            else:
                shutil.copy2(source, folder / part)
        configuration: dict = {"execution": {"keep_shards": True}}
        for study in studies:
            configuration |= yaml.safe_load((REPOSITORY / "tests" / CONFIGURATIONS[study]).read_text())
        configuration |= {"run": RUN, "studies": list(studies)}
        (folder / "smallest.yaml").write_text(yaml.safe_dump(configuration))
        self.environment = {
            **os.environ,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": str(folder / "src"),
            "OMP_NUM_THREADS": "1",
        }

    @property
    def results(self) -> Path:
        return self.folder / "results" / RUN

    def begin(self, first: bool) -> subprocess.Popen:
        """Start from nothing, or resume; in a session of its own, so that a signal hits what it is meant for."""
        start = ["snakemake", "--cores", "2", *self.targets, "--configfile", "smallest.yaml"]
        command = start if first else ["understudy", "resume", f"results/{RUN}"]
        with open(self.folder / "output.log", "ab") as output:
            return subprocess.Popen(
                [str(Path(sys.executable).parent / command[0]), *command[1:]],
                cwd=self.folder,
                env=self.environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def forget(self) -> None:
        """Remove all results and Snakemake's memory of them."""
        for name in ("results", ".snakemake"):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def attempts(self) -> int:
        """Size of the log of attempts: it grows when a job begins."""
        return sum(path.stat().st_size for path in (self.results / ".work/attempts").glob("*.jsonl"))


def below(pid: int) -> list[psutil.Process]:
    """All living processes below one."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def kind(process: psutil.Process) -> str | None:
    """What a process is to the study; shells, pipes and monitors are nothing."""
    try:
        words = process.cmdline()
    except psutil.Error:
        return None
    if not words:
        return None
    name, text = os.path.basename(words[0]), " ".join(words[:3])
    if name == "mpiexec":
        return "launcher"
    if not name.startswith("python") or "scripts/" not in text:
        return "snakemake" if "snakemake" in text and "--unlock" not in words and name.startswith("python") else None
    if "--ranks" in words:
        return "rank"
    return "trainer" if TRAINERS.search(text) else "other program"


def kill(top: subprocess.Popen, wanted: str, draw: random.Random) -> tuple[str, list[psutil.Process]] | None:
    """Kill what was wanted, or what is there instead when that does not show up.

    Returns
    -------
    what was killed and all processes of the run at that moment; None if everything has ended.
    """
    deadline = time.monotonic() + PATIENCE_S
    while top.poll() is None:
        everyone = [psutil.Process(top.pid), *below(top.pid)]
        found = collections.defaultdict(list)
        for process in everyone:
            found[kind(process)].append(process)
        late = time.monotonic() > deadline
        if wanted == "cancelled" and (found["rank"] or found["trainer"] or late):
            for process in everyone:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.terminate()
            return wanted, everyone
        if late and not found[wanted]:
            wanted = next((name for name in ("rank", "trainer", "other program") if found[name]), wanted)
        if found[wanted]:
            victim = found[wanted][0 if wanted == "snakemake" else draw.randrange(len(found[wanted]))]
            with contextlib.suppress(psutil.NoSuchProcess):
                victim.kill()
                return wanted, everyone
        time.sleep(0.01)
    return None


def disturb(run: Run, tally: Tally, draw: random.Random, first: bool) -> bool:
    """One start with one kill up to `LONGEST_WAIT_S` after its first job; True when the run came to its end before."""
    begun = run.attempts()
    top = run.begin(first)
    while top.poll() is None and run.attempts() == begun:
        time.sleep(0.02)
    time.sleep(draw.uniform(0, LONGEST_WAIT_S))
    killed = kill(top, draw.choice(VICTIMS), draw)
    if killed is None:
        if top.wait(timeout=600):
            raise RuntimeError(
                f"an attempt that nobody killed ended with {top.returncode}; see {run.folder}/output.log"
            )
        return True
    hit, family = killed
    tally.kills[hit] += 1
    if hit == "cancelled":
        # SLURM kills 30 s after SIGTERM what is still there. Snakemake itself may be: its handler of the signal waits
        # for a lock that its own thread holds while it chooses jobs (seen with 9.27.1).
        _, left = psutil.wait_procs(family, timeout=END_S)
        tally.survivors += sum(kind(process) not in (None, "snakemake") for process in left)
        tally.snakemakes_killed_after_cancel += any(kind(process) == "snakemake" for process in left)
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
    top.wait(timeout=600)
    if hit not in ("snakemake", "cancelled"):
        _, left = psutil.wait_procs(family, timeout=END_S)
        tally.survivors += len(left)
    return False


def undisturbed(run: Run) -> dict[str, str]:
    """Entries of the results of a run that nothing disturbs."""
    start = time.monotonic()
    if run.begin(first=True).wait():
        raise RuntimeError(f"the undisturbed run failed; see {run.folder}/output.log")
    print(f"undisturbed: {time.monotonic() - start:.0f} s", flush=True)
    return content(run.results)


def rounds(
    count: int, seed: int, studies: Sequence[str], targets: Sequence[str], against: Path | None, keep: Path | None
) -> Tally:
    """Kill this many times; random choices follow from ``seed``, what they hit from the machine."""
    draw = random.Random(seed)
    tally = Tally()
    place = keep or Path(tempfile.mkdtemp(prefix="understudy-faults-"))
    run = Run(place / "project", studies, targets)
    expected = undisturbed(run) if against is None else content(against)
    print(f"{len(expected):,} entries to compare", flush=True)
    ended, before = True, Finished({}, {}, {}, {})
    while sum(tally.kills.values()) < count or not ended:
        if ended:
            run.forget()
            before = Finished({}, {}, {}, {})
        if sum(tally.kills.values()) < count:
            ended = disturb(run, tally, draw, ended)
        else:
            ended = run.begin(first=False).wait() == 0
            if not ended:
                raise RuntimeError(f"the last resume failed; see {run.folder}/output.log")
        after = finished(run.folder, run.results)
        compare(before, after, tally)
        before = after
        jobs, cases = len(after.jobs), len(after.cases)
        told = ", ".join(f"{name} {number}" for name, number in sorted(tally.kills.items()))
        print(f"{sum(tally.kills.values())} kills ({told}): {jobs} jobs, {cases} cases finished", flush=True)
        if ended:
            found = content(run.results)
            if targets:
                files = {name.partition(": ")[0] for name in found}
                expected = {name: value for name, value in expected.items() if name.partition(": ")[0] in files}
            other = differences(expected, found)
            for name in other[:10]:
                print(f"  different: {name}")
            tally.different_results += len(other)
            tally.runs_finished += 1
            tally.entries_compared += len(expected)
    if keep is None:
        # An error leaves the folder, since its message names the log in it.
        shutil.rmtree(place)
    return tally


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=50, help="number of kills")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--studies", nargs="+", choices=CONFIGURATIONS, default=list(CONFIGURATIONS))
    parser.add_argument("--targets", nargs="+", default=[], metavar="FILE", help="of the run, such as axon/samples.h5")
    parser.add_argument("--against", type=Path, help="folder of a run of the same studies that ended undisturbed")
    parser.add_argument("--keep", type=Path, help="work in this folder and leave it")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    start = time.monotonic()
    tally = rounds(
        *(arguments.rounds, arguments.seed, arguments.studies, arguments.targets, arguments.against, arguments.keep)
    )
    figures = {**tally.as_json(), "seconds": round(time.monotonic() - start)}
    for name, value in figures.items():
        print(f"{name:>20}: {value}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures) + "\n")
    sys.exit(1 if any(figures[name] for name in WRONG) else 0)


if __name__ == "__main__":
    main()
