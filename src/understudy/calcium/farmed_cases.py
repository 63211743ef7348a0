"""Cases of the calcium study over MPI ranks: each one by itself, with named arrays as its result."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from understudy.farm.cases import run_cases
from understudy.farm.claims import fixed_blocks
from understudy.farm.shards import read_cases
from understudy.farm.stage import Stage

STUDY_NUMBER = 2
"""Number of the study in spawn keys of random streams."""


def below(values: Mapping[str, np.ndarray], head: str) -> dict[str, np.ndarray]:
    """Arrays of a case by name below a heading, such as ``loss`` of ``errors/loss`` below ``errors``."""
    return {name.removeprefix(f"{head}/"): value for name, value in values.items() if name.startswith(f"{head}/")}


def numbers_below(values: Mapping[str, np.ndarray], head: str) -> dict[str, Any]:
    """The single numbers among them, as Python's own."""
    return {name: value.item() for name, value in below(values, head).items() if value.ndim == 0}


def farm_each(
    stage: Stage,
    labels: Sequence[str],
    simulate: Callable[[int], Mapping[str, Any]],
    *,
    label: str,
    costs: Sequence[float] | None = None,
    numbers: Collection[str] = (),
    recompute: bool = False,
) -> list[dict[str, np.ndarray]] | None:
    """Results of all cases in their order on the first rank, None on the others. Collective.

    Parameters
    ----------
    labels : a case in words, one each.
    simulate : gives the named arrays of a case by its number.
    costs : expected effort of each case.
    label, numbers, recompute : as for `understudy.farm.cases.run_cases`; no case may fail.
    """

    def one_by_one(cases: Sequence[int]) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        for case in cases:
            yield case, {name: np.asarray(value) for name, value in simulate(case).items()}
            print(f"{label}: {labels[case]}", flush=True)

    # Networks are small: torch's threads would wait for each other, and more than there are cores for all ranks.
    torch.set_num_threads(1)
    summary = run_cases(
        stage.comm,
        folder=stage.folder,
        key=stage.key,
        blocks=fixed_blocks(range(len(labels)), 1, costs),
        simulate=one_by_one,
        label=label,
        numbers=numbers,
        recompute=recompute,
        describe=lambda case: labels[case],
    )
    if stage.job is None:
        return None
    stage.job.note("farm", dataclasses.asdict(summary))
    found = read_cases(stage.folder, stage.key)
    return [found[number] for number in range(len(labels))]
