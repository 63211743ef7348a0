"""Simulate electric fields under MPI: each coil placement in its whole head, then in a fine box about its patch."""

from __future__ import annotations

import dataclasses
from argparse import Namespace
from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from understudy.farm.cases import run_cases
from understudy.farm.claims import Block
from understudy.farm.shards import read_cases
from understudy.farm.stage import farmed_job
from understudy.provenance.arguments import main, parser
from understudy.settings import read_stage
from understudy.tms.coils import placed, primary_field
from understudy.tms.conduction import ConductionSolver, primary_at_voxels
from understudy.tms.config import Coil, Conductivity, Head, SecondHead
from understudy.tms.fields import GridField
from understudy.tms.files import HeadLabels, Placement, read_placements, write_fields
from understudy.tms.head_model import HeadModel
from understudy.tms.local_field import LocalBox
from understudy.tms.study_heads import study_coil, study_head


def patch_blocks(placements: Sequence[Placement]) -> list[Block]:
    """One block for each patch: its placements share the box's matrix and hierarchy."""
    patches = np.array([placement.patch for placement in placements])
    return [
        Block(index, tuple(np.flatnonzero(patches == patch).tolist()), float((patches == patch).sum()))
        for index, patch in enumerate(np.unique(patches))
    ]


def run(arguments: Namespace) -> None:
    stage = read_stage(arguments.config)
    head_settings = Head(**stage["head"])
    with farmed_job(
        arguments.ranks,
        program="simulate_fields",
        study="tms",
        inputs={"config": arguments.config, "placements": arguments.placements, "coil": arguments.coil},
        outputs={"fields": arguments.fields},
        code=arguments.code,
        parameters=stage,
        seed=stage["seed"],
        overwrite=arguments.overwrite,
    ) as this:
        placements, _ = read_placements(arguments.placements)
        coil = study_coil(Coil(**stage["coil"]), *arguments.coil)

        # The first placement of each head carries the head itself, for pictures.
        carriers = {placement.head: case for case, placement in reversed(list(enumerate(placements)))}

        # One head at a time: its matrix and hierarchy take most of the memory.
        @lru_cache(maxsize=1)
        def whole(number: int) -> tuple[HeadModel, ConductionSolver]:
            head = study_head(
                number,
                head_settings,
                Conductivity(**stage["conductivity"]),
                SecondHead(**stage["second_head"]),
                stage["seed"],
            )
            return head, head.solver()

        def simulate(cases: Sequence[int]) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
            first = placements[cases[0]]
            head, solver = whole(first.head)
            box = LocalBox(head, first.centre_mm, head_settings.local_size_mm, head_settings.local_voxel_mm)
            for case in cases:
                pose = placements[case].pose
                primary = partial(primary_field, coil, pose)
                sources, _ = placed(coil, pose)
                solution = solver.solve(primary_at_voxels(solver, primary, sources))
                local = box.solve(solver, solution, primary, sources)
                field = box.field(local)
                arrays = {
                    "value": np.asarray(field.value, dtype=np.float32),
                    "tissue": field.tissue,
                    "affine": field.affine,
                    "iterations": np.array([solution.iterations, local.iterations]),
                }
                if carriers[first.head] == case:
                    arrays |= {"head_labels": head.labels, "head_affine": head.affine}
                yield case, arrays

        summary = run_cases(
            this.comm,
            folder=this.folder,
            key=this.key,
            blocks=patch_blocks(placements),
            simulate=simulate,
            label="fields",
            recompute=arguments.recompute,
            describe=lambda case: placements[case].name,
        )
        if this.job is not None:
            found = read_cases(this.folder, this.key)
            write_fields(
                this.job.temporary("fields"),
                (
                    (case, GridField(arrays["value"], arrays["affine"], arrays["tissue"].astype(bool)))
                    for case, arrays in sorted(found.items())
                ),
                {
                    number: HeadLabels(found[case]["head_labels"], found[case]["head_affine"])
                    for number, case in sorted(carriers.items())
                },
            )
            iterations = np.array([arrays["iterations"] for arrays in found.values()])
            this.job.note("farm", dataclasses.asdict(summary))
            this.job.note("iterations", {"whole": int(iterations[:, 0].max()), "local": int(iterations[:, 1].max())})


if __name__ == "__main__":
    arguments = parser(__doc__, farm=True)
    arguments.add_argument("--config", type=Path, required=True)
    arguments.add_argument("--placements", type=Path, required=True)
    arguments.add_argument("--coil", type=Path, nargs="*", default=[], help="the .ccd file of the coil")
    arguments.add_argument("--fields", type=Path, required=True)
    main(run, arguments)
