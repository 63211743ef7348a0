"""Simulate the whole white matter under MPI: the injury model on every voxel of the first held-out impact.

What a surrogate is for is done directly here, in the reference layout, so that its error is known at every voxel.
"""

from __future__ import annotations

import dataclasses
import json
from argparse import Namespace
from pathlib import Path

import numpy as np

from understudy.axon.axon_geometry import reference_geometry
from understudy.axon.axon_mechanics import TARGETS
from understudy.axon.config import Injury
from understudy.axon.farmed_axons import farm_axons
from understudy.axon.files import VoxelMaps, open_strain, write_voxel_maps
from understudy.farm.stage import farmed_job
from understudy.provenance.arguments import main, parser
from understudy.settings import read_stage

# Voxels per unit of work and of resume: about a second.
BLOCK = 64


def run(arguments: Namespace) -> None:
    stage = read_stage(arguments.config)
    with farmed_job(
        arguments.ranks,
        program="simulate_white_matter",
        study="axon",
        inputs={"config": arguments.config, "strain": arguments.strain},
        outputs={"maps": arguments.maps, "cost": arguments.cost},
        code=arguments.code,
        parameters=stage,
        seed=stage["seed"],
        overwrite=arguments.overwrite,
    ) as this:
        injury = Injury(**stage["injury"])
        with open_strain(arguments.strain) as strain:
            impact = strain.impacts("heldout")[0]
            label = strain.label[impact]
            histories = strain.strain[impact]
        farmed = farm_axons(
            this,
            histories,
            [reference_geometry(injury)],
            injury,
            block=BLOCK,
            label="white matter",
            describe=lambda case: f"{label}, voxel {case}",
            recompute=arguments.recompute,
        )
        if this.job is not None:
            values = {name: farmed.outputs[:, 0, column] for column, name in enumerate(TARGETS)}
            write_voxel_maps(this.job.temporary("maps"), VoxelMaps(values, impact))
            summary = farmed.summary
            cpu_s = float(sum(rank.cpu_s for rank in summary.ranks))
            # A resumed stage counts what this attempt computed; shards of earlier ones carry no times.
            cost = {
                "impact": label,
                "n": len(histories),
                "computed": summary.computed,
                "ranks": len(summary.ranks),
                "wall_s": summary.seconds,
                "cpu_s": cpu_s,
                "cpu_s_per_case": cpu_s / summary.computed if summary.computed else None,
                "peak_strain": float(np.max(histories)),
            }
            this.job.temporary("cost").write_text(json.dumps(cost, indent=2, sort_keys=True) + "\n")
            this.job.note("farm", dataclasses.asdict(summary))


if __name__ == "__main__":
    arguments = parser(__doc__, farm=True)
    arguments.add_argument("--config", type=Path, required=True)
    arguments.add_argument("--strain", type=Path, required=True)
    arguments.add_argument("--maps", type=Path, required=True)
    arguments.add_argument("--cost", type=Path, required=True)
    main(run, arguments)
