"""Simulate head impacts under MPI: brain mechanics, then fibre strain histories on the white-matter voxels."""

from __future__ import annotations

import dataclasses
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from understudy.axon.brain_mechanics import simulate_impact
from understudy.axon.brain_mesh import build_brain_mesh
from understudy.axon.config import Head, Impacts, Tissue
from understudy.axon.fibre_orientation import element_directions
from understudy.axon.fibre_strain import fibre_gauges, fibre_strain
from understudy.axon.files import StrainWriter, read_orientation
from understudy.axon.impacts import study_impacts
from understudy.farm.cases import run_cases
from understudy.farm.claims import fixed_blocks
from understudy.farm.shards import read_cases
from understudy.farm.stage import farmed_job
from understudy.provenance.arguments import main, parser
from understudy.settings import read_stage


def run(arguments: Namespace) -> None:
    stage = read_stage(arguments.config)
    settings = Impacts(**stage["impacts"])
    with farmed_job(
        arguments.ranks,
        program="simulate_impacts",
        study="axon",
        inputs={"config": arguments.config, "field": arguments.field, "impacts": arguments.impacts},
        outputs={"strain": arguments.strain},
        code=arguments.code,
        parameters=stage,
        seed=stage["seed"],
        overwrite=arguments.overwrite,
    ) as this:
        impacts = study_impacts(settings, stage["seed"], arguments.impacts)
        white_matter, field = read_orientation(arguments.field)
        mesh = build_brain_mesh(Head(**stage["head"]))
        tissue = Tissue(**stage["tissue"])
        along = element_directions(field, white_matter, mesh)
        gauges = fibre_gauges(mesh, white_matter.centre_mm, field.direction)
        samples = settings.duration_ms + 1

        def simulate(cases: Sequence[int]) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
            for case in cases:
                histories = np.empty((samples, len(field.direction)), dtype=np.float32)

                def sample(time: int, positions: np.ndarray, histories: np.ndarray = histories) -> None:
                    histories[time] = fibre_strain(gauges, positions)

                finished = simulate_impact(mesh, tissue, along, impacts[case], on_sample=sample)
                yield case, {"strain": np.ascontiguousarray(histories.T), "balance": np.array(finished.energy_balance)}

        # An impact is a block of its own: all take the same number of steps on the same mesh.
        blocks = fixed_blocks(range(len(impacts)), 1)
        summary = run_cases(
            this.comm,
            folder=this.folder,
            key=this.key,
            blocks=blocks,
            simulate=simulate,
            label="impacts",
            numbers=("strain", "balance"),
            describe=lambda case: f"impact {impacts[case].label}",
            recompute=arguments.recompute,
        )
        if this.job is not None:
            steps = np.arange(samples) * 1e-3
            velocity = np.stack(
                [
                    np.stack(
                        [np.interp(steps, impact.time_s, axis) for axis in impact.angular_velocity_rad_per_s.T], axis=1
                    )
                    for impact in impacts
                ]
            )
            balance = []
            with StrainWriter(this.job.temporary("strain"), white_matter, field, gauges.element, samples) as writer:
                writer.impacts(
                    [impact.role for impact in impacts],
                    [impact.label for impact in impacts],
                    [impact.parameters for impact in impacts],
                    velocity,
                )
                for case, arrays in read_cases(this.folder, this.key).items():
                    writer.strain(case, arrays["strain"])
                    balance.append(float(arrays["balance"]))
                writer.balance(balance)
            this.job.note("farm", dataclasses.asdict(summary))
            gauge_facts = {name: getattr(gauges, name) for name in ("independent_elements", "shortened", "moved")}
            this.job.note("gauges", gauge_facts)
            this.job.note("mesh", {"elements": len(mesh.elements), "nodes": len(mesh.nodes)})


if __name__ == "__main__":
    arguments = parser(__doc__, farm=True)
    arguments.add_argument("--config", type=Path, required=True)
    arguments.add_argument("--field", type=Path, required=True)
    arguments.add_argument("--impacts", type=Path, nargs="*", default=[], help="CSV files of measured impacts")
    arguments.add_argument("--strain", type=Path, required=True)
    main(run, arguments)
