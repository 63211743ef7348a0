"""Simulate a variant of the axon under MPI: the female axon, or the other tau criterion, on a part of the profiles."""

from __future__ import annotations

import dataclasses
from argparse import Namespace
from pathlib import Path

from understudy.axon.axon_geometry import layout_set, reference_geometry
from understudy.axon.config import Comparison, Injury
from understudy.axon.farmed_axons import farm_axons, write_axon_ground_truth
from understudy.axon.files import read_samples
from understudy.axon.variants import VARIANTS, variant_injury, variant_rows
from understudy.farm.stage import farmed_job
from understudy.provenance.arguments import main, parser
from understudy.settings import read_stage

# Profiles per unit of work and of resume.
BLOCK = 16


def run(arguments: Namespace) -> None:
    stage = read_stage(arguments.config)
    with farmed_job(
        arguments.ranks,
        program="simulate_variant",
        study="axon",
        inputs={"config": arguments.config, "samples": arguments.samples},
        outputs={"dataset": arguments.dataset},
        code=arguments.code,
        parameters={**stage, "variant": arguments.variant},
        seed=stage["seed"],
        overwrite=arguments.overwrite,
    ) as this:
        injury = variant_injury(Injury(**stage["injury"]), arguments.variant)
        samples = read_samples(arguments.samples)
        rows = variant_rows(samples.split, samples.subset, Comparison(**stage["comparison"]))
        farmed = farm_axons(
            this,
            samples.strain[rows],
            [reference_geometry(injury), *layout_set(injury, stage["seed"])],
            injury,
            block=BLOCK,
            label=f"axons, {arguments.variant}",
            describe=lambda case: f"{samples.labels[samples.impact[rows[case]]]}, voxel {samples.voxel[rows[case]]}",
            recompute=arguments.recompute,
        )
        if this.job is not None:
            write_axon_ground_truth(
                this.job.temporary("dataset"), samples, rows, farmed, {"variant": arguments.variant}
            )
            this.job.note("farm", dataclasses.asdict(farmed.summary))


if __name__ == "__main__":
    arguments = parser(__doc__, farm=True)
    arguments.add_argument("--variant", choices=VARIANTS, required=True)
    arguments.add_argument("--config", type=Path, required=True)
    arguments.add_argument("--samples", type=Path, required=True)
    arguments.add_argument("--dataset", type=Path, required=True)
    main(run, arguments)
