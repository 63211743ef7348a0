"""Build cells under MPI: synthetic ones grow until the gate on their thresholds accepts one, real ones are read."""

from __future__ import annotations

import dataclasses
from argparse import Namespace
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from understudy.farm.cases import run_cases
from understudy.farm.claims import fixed_blocks
from understudy.farm.shards import read_cases
from understudy.farm.stage import farmed_job
from understudy.provenance.arguments import main, parser
from understudy.settings import read_stage
from understudy.tms.cell_model import build_compartments
from understudy.tms.config import Engine, Pulses
from understudy.tms.files import Cell, flattened, unflattened, write_cells
from understudy.tms.gate import accepted_cell, uniform_directions
from understudy.tms.morphology import Morphology
from understudy.tms.morphology_files import read_morphology
from understudy.tms.pulse_choice import DELAY_MS, study_pulses
from understudy.tms.threshold_engine import find_thresholds


def run(arguments: Namespace) -> None:
    stage = read_stage(arguments.config)
    with farmed_job(
        arguments.ranks,
        program="build_cells",
        study="tms",
        inputs={"config": arguments.config, "real": arguments.real, "pulse": arguments.pulse},
        outputs={"cells": arguments.cells},
        code=arguments.code,
        parameters={**stage, "real_types": arguments.real_types},
        seed=stage["seed"],
        overwrite=arguments.overwrite,
    ) as this:
        settings, engine = stage["cells"], Engine(**stage["engine"])
        pulse = next(iter(study_pulses(Pulses(**stage["pulses"]), *arguments.pulse).values()))
        dt_ms = 1e-3 * engine.dt_us
        waveform = pulse.steps(dt_ms, engine.window_ms, DELAY_MS)
        # A cell that is no cell is an error before anything is computed.
        real = [read_morphology(path, require_axon=True) for path in arguments.real]
        wanted = [(kind, number) for kind in settings["types"] for number in range(1, settings["clones"] + 1)]

        def thresholds(cell_type: str, morphology: Morphology, directions: np.ndarray) -> np.ndarray:
            model = build_compartments(morphology, cell_type, segment_um=settings["segment_um"]).compartments
            potential = -1e-3 * directions @ (model.centre - model.centre[0]).T
            return find_thresholds(
                model,
                potential,
                waveform,
                dt_ms,
                tolerance=engine.tolerance,
                limit=engine.limit_V_per_m,
                order=engine.order,
                precision=engine.precision,
            ).threshold

        def simulate(cases: Sequence[int]) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
            for case in cases:
                tried: list[np.ndarray] = []

                def tell(cell_type: str, *them, tried: list[np.ndarray] = tried) -> np.ndarray:
                    tried.append(thresholds(cell_type, *them))
                    return tried[-1]

                if case < len(wanted):
                    cell_type, number = wanted[case]
                    cell, reasons = accepted_cell(cell_type, number, stage["seed"], partial(tell, cell_type))
                else:
                    cell, reasons = real[case - len(wanted)], []
                    tell(arguments.real_types[case - len(wanted)], cell, uniform_directions())
                # The last one tried is the one that was taken.
                yield case, {**flattened(cell), "gate": tried[-1], "rejected": np.array(len(reasons))}

        summary = run_cases(
            this.comm,
            folder=this.folder,
            key=this.key,
            blocks=fixed_blocks(range(len(wanted) + len(real)), 1),
            simulate=simulate,
            label="cells",
            recompute=arguments.recompute,
        )
        if this.job is not None:
            cells = []
            for case, found in sorted(read_cases(this.folder, this.key).items()):
                if case < len(wanted):
                    cell_type, number = wanted[case]
                    name, source = f"{cell_type}_{number}", "synthetic"
                else:
                    cell_type = arguments.real_types[case - len(wanted)]
                    name, source = real[case - len(wanted)].name, arguments.real[case - len(wanted)].name
                cells.append(Cell(unflattened(name, found), cell_type, source, found["gate"], int(found["rejected"])))
                low, middle, high = np.nanquantile(found["gate"], (0, 0.5, 1))
                print(
                    f"{name}: {len(cells[-1].morphology.sections)} sections, thresholds {low:.0f} to {high:.0f} V/m, "
                    f"median {middle:.0f}, {cells[-1].rejected} rejected before it"
                )
            write_cells(this.job.temporary("cells"), cells, uniform_directions())
            this.job.note("farm", dataclasses.asdict(summary))


if __name__ == "__main__":
    arguments = parser(__doc__, farm=True)
    arguments.add_argument("--config", type=Path, required=True)
    arguments.add_argument("--real", type=Path, nargs="*", default=[], help="SWC or ASC files of reconstructed cells")
    arguments.add_argument("--real-types", nargs="*", default=[], help="type of each of them")
    arguments.add_argument("--pulse", type=Path, nargs="*", default=[], help="CSV file of the pulse called file")
    arguments.add_argument("--cells", type=Path, required=True)
    main(run, arguments)
