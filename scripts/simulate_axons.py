"""Simulate axons under MPI: the injury model on every sampled profile, in the reference and the common layouts."""

from __future__ import annotations

import dataclasses
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from understudy.axon.axon_geometry import layout_set, reference_geometry
from understudy.axon.axon_mechanics import TARGETS, simulate_axons
from understudy.axon.config import Injury
from understudy.axon.files import read_samples
from understudy.axon.layouts import combine_layouts, target_names
from understudy.dataset import Field, write_ground_truth
from understudy.farm.cases import run_cases
from understudy.farm.claims import fixed_blocks
from understudy.farm.shards import Failure, read_cases
from understudy.farm.stage import farmed_job
from understudy.provenance.arguments import main, parser
from understudy.settings import read_stage

# Profiles per unit of work and of resume; fixed, so the blocks of a study do not depend on the ranks.
BLOCK = 16


def run(arguments: Namespace) -> None:
    stage = read_stage(arguments.config)
    with farmed_job(
        arguments.ranks,
        program="simulate_axons",
        study="axon",
        inputs={"config": arguments.config, "samples": arguments.samples},
        outputs={"dataset": arguments.dataset},
        code=arguments.code,
        parameters=stage,
        seed=stage["seed"],
        overwrite=arguments.overwrite,
    ) as this:
        injury = Injury(**stage["injury"])
        samples = read_samples(arguments.samples)
        geometries = [reference_geometry(injury), *layout_set(injury, stage["seed"])]

        def simulate(cases: Sequence[int]) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
            outputs = simulate_axons(samples.strain[list(cases)].astype(float), geometries, injury)
            for case, values in zip(cases, outputs, strict=True):
                yield case, {"outputs": values}

        # More strain breaks more links, and each failure costs a factorisation.
        cost = samples.strain.max(axis=1)
        blocks = fixed_blocks(range(len(cost)), BLOCK, cost)
        summary = run_cases(
            this.comm,
            folder=this.folder,
            key=this.key,
            blocks=blocks,
            simulate=simulate,
            label="axons",
            largest_failed=stage["sampling"]["largest_failed"],
            describe=lambda case: f"{samples.labels[samples.impact[case]]}, voxel {samples.voxel[case]}",
            recompute=arguments.recompute,
        )
        if this.job is not None:
            found = read_cases(this.folder, this.key)
            outputs = np.full((len(cost), len(geometries), len(TARGETS)), np.nan)
            failed = np.full(len(cost), "", dtype=object)
            for case, value in found.items():
                if isinstance(value, Failure):
                    failed[case] = value.reason
                else:
                    outputs[case] = value["outputs"]
            write_ground_truth(
                this.job.temporary("dataset"),
                study="axon",
                inputs=samples.strain[:, None, :],
                targets=combine_layouts(outputs),
                case=np.arange(len(cost)),
                group=samples.impact,
                split=samples.split,
                subset=samples.subset,
                failed=failed,
                channels=[Field("fibre_strain", "1")],
                target_fields=[Field(name, "1") for name in target_names()],
                group_names=samples.labels,
                input_step=samples.sample_ms,
                input_step_unit="ms",
                attributes={
                    "layouts": len(geometries) - 1,
                    "worst_case_sha256": samples.worst_case_sha256,
                    "sampling": samples.method,
                    "field_source": samples.field_source,
                },
            )
            this.job.note("farm", dataclasses.asdict(summary))


if __name__ == "__main__":
    arguments = parser(__doc__, farm=True)
    arguments.add_argument("--config", type=Path, required=True)
    arguments.add_argument("--samples", type=Path, required=True)
    arguments.add_argument("--dataset", type=Path, required=True)
    main(run, arguments)
