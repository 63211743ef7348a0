"""Place cells in the cortex: positions, azimuths and pulses of every case, each group in one split alone.

Looks at inputs only. A position where too much of a cell lies outside grey and white matter is refused, counted, and
another one is drawn.
"""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import numpy as np

from understudy.provenance.arguments import main, parser
from understudy.provenance.job import job
from understudy.settings import read_stage
from understudy.tms.case_plan import shares_of, wanted_sets
from understudy.tms.cell_model import build_compartments
from understudy.tms.cell_placement import Patch
from understudy.tms.config import Pulses, SecondHead
from understudy.tms.cortex import LAYER_DEPTH
from understudy.tms.field_sampling import CellPose
from understudy.tms.files import PlacedCells, open_fields, read_cells, read_placements, write_samples
from understudy.tms.study_heads import SECOND_HEAD, TRAINED_HEAD, study_cortex

# What a placement's streams are numbered by: populations share theirs among clones.
_POPULATION, _ALONE, _PULSE = range(3)


def run(arguments: Namespace) -> None:
    stage = read_stage(arguments.config)
    with job(
        program="place_cells",
        study="tms",
        inputs={name: getattr(arguments, name) for name in ("config", "cells", "placements", "fields")},
        outputs={"samples": arguments.samples},
        code=arguments.code,
        parameters=stage,
        seed=stage["seed"],
        overwrite=arguments.overwrite,
    ) as this:
        cells, _ = read_cells(arguments.cells)
        placements, vertices = read_placements(arguments.placements)
        pulses = Pulses(**stage["pulses"])
        sampling = stage["sampling"]
        segment_um = stage["cells"]["segment_um"]
        models = [
            build_compartments(cell.morphology, cell.cell_type, segment_um=segment_um).compartments for cell in cells
        ]
        types = tuple(dict.fromkeys(cell.cell_type for cell in cells))
        second = SecondHead(**stage["second_head"])
        cortices = [
            study_cortex(number, stage["placements"]["hemisphere"], second, stage["seed"])
            for number in (TRAINED_HEAD, SECOND_HEAD)
        ]
        drawn = np.zeros((len(placements), len(types)), dtype=np.int64)
        refused = np.zeros_like(drawn)
        columns: dict[str, list] = {name: [] for name in ("cell", "placement", "pulse", "split", "subset", "vertex")}
        poses: list[CellPose] = []
        with open_fields(arguments.fields) as field_of:
            for kind, wanted in enumerate(wanted_sets(sampling, pulses)):
                chosen = [number for number, placement in enumerate(placements) if placement.role == wanted.role]
                counts = shares_of(wanted.count, len(chosen))
                for number, count in zip(chosen, counts, strict=True):
                    placement = placements[number]
                    cortex = cortices[placement.head]
                    surface = (cortex.white, cortex.pial, cortex.faces)
                    patch = Patch(placement.name, field_of(number), surface, vertices[placement.patch], stage["seed"])
                    for cell, (model, what) in enumerate(zip(models, cells, strict=True)):
                        if not count:
                            continue
                        column = types.index(what.cell_type)
                        # Clones of a population share the stream of positions, and so the positions.
                        who = (_POPULATION, column) if wanted.populations else (_ALONE, cell)
                        pose, vertex, tried, bad = patch.draw(
                            model,
                            LAYER_DEPTH[what.cell_type],
                            count,
                            sampling["azimuths"] if wanted.populations else 1,
                            (kind, number, *who),
                            sampling["most_outside"],
                        )
                        drawn[number, column] += tried
                        refused[number, column] += bad
                        poses.append(pose)
                        pulse = patch.generator(kind, number, _PULSE, cell).choice(
                            wanted.pulses, count, p=wanted.shares
                        )
                        columns["pulse"].append(pulse)
                        columns["vertex"].append(vertex)
                        for name, value in (("cell", cell), ("placement", number)):
                            columns[name].append(np.full(count, value))
                        for name in ("split", "subset"):
                            columns[name].append(np.full(count, getattr(wanted, name), dtype="U16"))
                print(f"{wanted.split}, {wanted.subset}: {wanted.count} cases of each cell in {len(chosen)} placements")
        joined = {name: np.concatenate(values) for name, values in columns.items()}
        write_samples(
            this.temporary("samples"),
            PlacedCells(
                **joined,
                position_mm=np.concatenate([pose.position for pose in poses]),
                normal=np.concatenate([pose.normal for pose in poses]),
                azimuth_rad=np.concatenate([pose.azimuth_rad for pose in poses]),
                drawn=drawn,
                refused=refused,
                pulses=(pulses.headline, *pulses.others, pulses.unseen),
                types=types,
            ),
        )
        print(f"places refused because too much of the cell lies outside tissue: {refused.sum() / drawn.sum():.1%}")


if __name__ == "__main__":
    arguments = parser(__doc__)
    for name in ("config", "cells", "placements", "fields", "samples"):
        arguments.add_argument(f"--{name}", type=Path, required=True)
    main(run, arguments)
