"""Verify the TMS study: engine against NEURON, cells against published ones, fields against closed forms."""

from __future__ import annotations

import json
import tempfile
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Before NEURON: its own search for an MPI library fails where mpi4py's is not the system's.
import mpi4py.MPI  # noqa: F401
import numpy as np

from understudy.farm.keys import stage_key
from understudy.farm.seeds import case_sequence
from understudy.provenance.arguments import main, parser
from understudy.provenance.job import job
from understudy.settings import read_stage
from understudy.surrogate.json_file import finite
from understudy.tms.cell_verification import (
    against_neuron,
    cell_under_test,
    first_of_each_type,
    gate_table,
    initiation,
)
from understudy.tms.config import Coil, Conductivity, Engine, Head, Pulses, Verification
from understudy.tms.engine_convergence import linear_range, segment_convergence, step_convergence
from understudy.tms.farmed_thresholds import ThresholdSimulator
from understudy.tms.field_verification import (
    files_against_extracellular,
    layered_sphere,
    planar_jump,
    refined_rows,
    refinement,
    sphere_equations,
)
from understudy.tms.files import open_thresholds, read_cells, read_placements, read_samples
from understudy.tms.head_model import build_head
from understudy.tms.neuron_reference import load_mechanisms
from understudy.tms.pulse_choice import DELAY_MS, study_pulses
from understudy.tms.strength_duration import strength_duration, strength_duration_checks, strength_duration_table
from understudy.tms.study_heads import by_tissue, study_coil
from understudy.tms.threshold_timing import time_thresholds

PROGRAM = "verify_tms"
# Number of this stage in spawn keys of the study (1).
_STAGE = 6
_TIMING, _FILES, _SPHERE = 1000, 1001, 1002
# Fields of the timing: enough to fill the engine's lanes twice.
_TIMED_FIELDS = 16


def kept(path: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """A part's results, made once: a program that was killed finds them."""
    if path.is_file():
        return json.loads(path.read_text())
    made = finite(make())
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(made))
    temporary.rename(path)
    return made


def run(arguments: Namespace) -> None:
    stage = read_stage(arguments.config)
    verification, engine = Verification(**stage["verification"]), Engine(**stage["engine"])
    inputs = ("config", "cells", "placements", "samples", "thresholds", "library", "pulse", "coil")
    with job(
        program=PROGRAM,
        study="tms",
        inputs={name: getattr(arguments, name) for name in inputs},
        outputs={"checks": arguments.checks},
        code=arguments.code,
        parameters=stage,
        seed=stage["seed"],
        overwrite=arguments.overwrite,
    ) as this:
        work = this.work / PROGRAM / stage_key(stage, this.code, this.input_hashes, stage["seed"])
        cells, _ = read_cells(arguments.cells)
        pulses = study_pulses(Pulses(**stage["pulses"]), *arguments.pulse)
        pulse = next(iter(pulses.values()))
        segment_um, dt_ms = stage["cells"]["segment_um"], 1e-3 * engine.dt_us
        waveform = pulse.steps(dt_ms, engine.window_ms, DELAY_MS)
        simulator = ThresholdSimulator(cells, pulses, engine, segment_um, arguments.library)
        coil = study_coil(Coil(**stage["coil"]), *arguments.coil)
        conductivity = by_tissue(Conductivity(**stage["conductivity"]))
        head = Head(**stage["head"])
        chosen = first_of_each_type(cells)

        def stream(number: int) -> np.random.Generator:
            return np.random.default_rng(case_sequence(stage["seed"], 1, _STAGE, number))

        tested = {n: cell_under_test(cells[n], segment_um, verification.fields, stream(n)) for n in chosen}
        smallest = min(chosen, key=lambda n: len(tested[n].compartments))
        # Each cell costs a minute of the usual script, and seconds of fine steps: small runs take the smallest alone.
        thorough = chosen if verification.every_type else [smallest]

        def timing() -> dict[str, Any]:
            timed = [cell_under_test(cells[n], segment_um, _TIMED_FIELDS, stream(_TIMING + 10 + n)) for n in thorough]
            return time_thresholds(
                [one.model for one in timed],
                [one.potentials() for one in timed],
                waveform,
                dt_ms,
                arguments.library,
                rounds=3 if verification.every_type else 1,
            )

        def files() -> dict[str, Any]:
            with tempfile.TemporaryDirectory() as folder:
                found = files_against_extracellular(tested[smallest], waveform, dt_ms, Path(folder), stream(_FILES))
            return {"checks": found}

        def starts() -> dict[str, Any]:
            with open_thresholds(arguments.thresholds) as found:
                return {"checks": initiation(found, cells)}

        def refined() -> dict[str, Any]:
            placements, _ = read_placements(arguments.placements)
            samples = read_samples(arguments.samples)
            number, rows = refined_rows(samples, placements, verification.refined)
            if not len(rows):
                return {"checks": []}
            found = refinement(
                build_head(head.voxel_mm, conductivity=conductivity),
                coil,
                placements[number],
                samples,
                rows,
                lambda cell, potential: simulator.thresholds(cell, 0, potential).threshold,
                lambda cell: simulator.models[cell].compartments,
                head.local_voxel_mm,
            )
            return {"checks": found}

        def convergence(n: int) -> dict[str, Any]:
            steps = step_convergence(
                tested[n],
                pulse,
                engine.window_ms,
                DELAY_MS,
                engine.dt_us,
                lambda potential: simulator.thresholds(n, 0, potential),
            )
            return {"checks": [*steps, *segment_convergence(tested[n], waveform, dt_ms)]}

        load_mechanisms(arguments.library)
        extracellular = max(1, verification.fields // 8)
        # NEURON runs a cell more slowly where others were before: time is measured in processes of its own, first.
        parts: list[tuple[str, str, Callable[[], dict[str, Any]]]] = [("timing", "timing", timing)]
        for n in chosen:
            name = cells[n].name
            parts.append(
                (
                    f"neuron_{n:03d}",
                    f"NEURON, {name}",
                    lambda n=n: {
                        "checks": [
                            *against_neuron(tested[n], waveform, dt_ms, extracellular),
                            linear_range(tested[n], waveform, dt_ms),
                        ]
                    },
                )
            )
            if n in thorough:
                parts.append((f"convergence_{n:03d}", f"convergence, {name}", lambda n=n: convergence(n)))
            parts.append(
                (
                    f"duration_{n:03d}",
                    f"strength and duration, {name}",
                    lambda n=n: {"found": strength_duration(tested[n], dt_ms, engine.window_ms, DELAY_MS)},
                )
            )
        parts += [
            ("files", "fields through files", files),
            ("gate", "cells", lambda: {"checks": gate_table(cells)}),
            ("starts", "where spikes start", starts),
            ("sphere", "sphere", lambda: {"checks": sphere_equations(coil, stream(_SPHERE))}),
            ("layered", "layered sphere", lambda: {"checks": layered_sphere(coil, conductivity, head.voxel_mm)}),
            (
                "planar",
                "planar jump",
                lambda: {
                    "checks": [
                        *planar_jump("white and grey matter", conductivity[1], conductivity[2]),
                        *planar_jump("grey matter and CSF", conductivity[2], conductivity[3]),
                    ]
                },
            ),
            ("refinement", "refinement near cells", refined),
        ]
        checks: list[dict] = []
        durations: list[dict] = []
        timed: dict[str, Any] = {}
        for key, label, make in parts:
            found = kept(work / f"{key}.json", make)
            if key == "timing":
                timed = found
                print(f"verification, {label}: {timed['engine_s_per_threshold']:.3g} s per threshold", flush=True)
                continue
            if "found" in found:
                durations.append(found["found"])
                found = {"checks": strength_duration_checks([found["found"]])}
            passed = sum(entry["passed"] for entry in found["checks"])
            words = f"{passed} of {len(found['checks'])} passed" if found["checks"] else "no cells to judge by"
            print(f"verification, {label}: {words}", flush=True)
            part = label.split(",")[0]
            checks.extend({**entry, "part": part} for entry in found["checks"])
        content = {"checks": checks, "strength_duration": strength_duration_table(durations), "timing": timed}
        text = json.dumps(finite(content), indent=2, allow_nan=False)
        this.temporary("checks").write_text(text + "\n")


if __name__ == "__main__":
    arguments = parser(__doc__)
    arguments.add_argument("--pulse", type=Path, nargs="*", default=[], help="CSV file of the pulse called file")
    arguments.add_argument("--coil", type=Path, nargs="*", default=[], help="the .ccd file of the coil")
    for name in ("config", "cells", "placements", "samples", "thresholds", "library", "checks"):
        arguments.add_argument(f"--{name}", type=Path, required=True)
    main(run, arguments)
