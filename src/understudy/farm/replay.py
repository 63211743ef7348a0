"""Cases of a study's ground truth computed again, one or a few, with the study's own code and the farm's own path.

A study says in ``replay.py`` how its cases are opened and computed (`Replay`); `understudy audit --replay` and
`understudy rerun-case` do the rest. Nothing of a run is touched: shards go to a folder that is removed.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from understudy.farm.communicator import world
from understudy.farm.shards import Failure, read_cases
from understudy.farm.stage import Stage
from understudy.provenance.job import Job

_KEY = "replay"


@dataclass(frozen=True)
class ReplayedCase:
    """One case, computed again.

    Attributes
    ----------
    inputs : (channels, ...) float32 as the ground-truth file has them, or None where they were not made.
    targets : (T,) float64, NaN where the case failed.
    failed : reason, or empty.
    traceback : of what the physics raised, or empty.
    """

    inputs: np.ndarray | None
    targets: np.ndarray
    failed: str = ""
    traceback: str = ""


class Cases(Protocol):
    """The cases of one ground-truth file, ready to be computed."""

    def __len__(self) -> int:
        """Number of cases; they are numbered from 0."""

    def unit(self, case: int) -> tuple[int, ...]:
        """The cases, in order, that have to be computed together for equal bits: those whose arithmetic is coupled."""

    def describe(self, case: int) -> dict[str, Any]:
        """Inputs of a case by name: words, numbers or arrays."""

    def compute(self, cases: Sequence[int]) -> dict[int, ReplayedCase]:
        """Compute cases, in the given order, as one unit."""


Paths = Mapping[str, Path | list[Path]]


@dataclass(frozen=True)
class Replay:
    """How a study's cases are computed again.

    Attributes
    ----------
    program : whose results the cases are; its stage file has the same name.
    dataset : the ground-truth file, relative to the study's folder.
    paths : (the study's folder, stage values, folder of external data) -> inputs by the program's names for them, for
        a stage that has no record because it did not end.
    opened : (stage values, inputs) -> the cases, as a context manager.
    """

    program: str
    dataset: str
    paths: Callable[[Path, Mapping[str, Any], Path], Paths]
    opened: Callable[[Mapping[str, Any], Paths], contextlib.AbstractContextManager[Cases]]


@contextlib.contextmanager
def scratch_stage() -> Iterator[Stage]:
    """A stage of one rank whose shards are removed at the end; what the farm says goes to standard error."""
    with tempfile.TemporaryDirectory(prefix="understudy-replay-") as name, contextlib.redirect_stdout(sys.stderr):
        folder = Path(name)
        yield Stage(comm=world(), folder=folder, key=_KEY, job=Job(folder, {}, "", {}))


def failures(stage: Stage, cases: Sequence[int]) -> dict[int, Failure]:
    """The failed ones of the cases that the farm numbered from 0 in this stage, by their own numbers."""
    found = read_cases(stage.folder, stage.key)
    return {case: found[row] for row, case in enumerate(cases) if found.failed(row)}
