"""The injury model on many profiles over MPI ranks, and the ground-truth file that its outputs become."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from understudy.axon.axon_geometry import AxonGeometry
from understudy.axon.axon_mechanics import TARGETS, simulate_axons
from understudy.axon.config import Injury
from understudy.axon.files import Samples
from understudy.axon.layouts import combine_layouts, target_names
from understudy.dataset import Field, write_ground_truth
from understudy.farm.cases import FarmSummary, run_cases
from understudy.farm.claims import fixed_blocks
from understudy.farm.shards import Failure, read_cases
from understudy.farm.stage import Stage


@dataclass(frozen=True)
class FarmedAxons:
    """What the farm returns.

    Attributes
    ----------
    outputs : (n, layouts, 4) `TARGETS` on the first rank, NaN where a case failed; None on the others.
    failed : (n,) reason or empty, on the first rank; None on the others.
    summary : what the farm did.
    """

    outputs: np.ndarray | None
    failed: np.ndarray | None
    summary: FarmSummary


def farm_axons(
    stage: Stage,
    strain: np.ndarray,
    geometries: Sequence[AxonGeometry],
    injury: Injury,
    *,
    block: int,
    label: str,
    largest_failed: int = 0,
    describe: Callable[[int], str] | None = None,
    recompute: bool = False,
) -> FarmedAxons:
    """Run histories (n, t) in all layouts. Collective: every rank calls it with the same arguments.

    Parameters
    ----------
    block : profiles per unit of work and of resume; fixed, so that blocks do not depend on the number of ranks.
    label, largest_failed, describe, recompute : as for `understudy.farm.cases.run_cases`.
    """

    def simulate(cases: Sequence[int]) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        outputs = simulate_axons(strain[list(cases)].astype(float), geometries, injury)
        for case, values in zip(cases, outputs, strict=True):
            yield case, {"outputs": values}

    # More strain breaks more links, and each failure costs a factorisation.
    cost = strain.max(axis=1)
    options = {} if describe is None else {"describe": describe}
    summary = run_cases(
        stage.comm,
        folder=stage.folder,
        key=stage.key,
        blocks=fixed_blocks(range(len(cost)), block, cost),
        simulate=simulate,
        label=label,
        largest_failed=largest_failed,
        numbers=("outputs",),
        recompute=recompute,
        **options,
    )
    if stage.job is None:
        return FarmedAxons(None, None, summary)
    outputs = np.full((len(cost), len(geometries), len(TARGETS)), np.nan)
    failed = np.full(len(cost), "", dtype=object)
    for case, value in read_cases(stage.folder, stage.key).items():
        if isinstance(value, Failure):
            failed[case] = value.reason
        else:
            outputs[case] = value["outputs"]
    return FarmedAxons(outputs, failed, summary)


def write_axon_ground_truth(
    path: Path,
    samples: Samples,
    rows: np.ndarray,
    farmed: FarmedAxons,
    attributes: Mapping[str, str | int | float],
) -> None:
    """Write the outputs of the samples ``rows`` as ground truth; a case keeps the number of its sample."""
    write_ground_truth(
        path,
        study="axon",
        inputs=samples.strain[rows][:, None, :],
        targets=combine_layouts(farmed.outputs),
        case=rows,
        group=samples.impact[rows],
        split=samples.split[rows],
        subset=samples.subset[rows],
        failed=farmed.failed,
        channels=[Field("fibre_strain", "1")],
        target_fields=[Field(name, "1") for name in target_names()],
        group_names=samples.labels,
        input_step=samples.sample_ms,
        input_step_unit="ms",
        attributes={
            "layouts": farmed.outputs.shape[1] - 1,
            "sampling": samples.method,
            "field_source": samples.field_source,
            **attributes,
        },
    )
