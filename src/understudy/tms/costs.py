"""What the rules of the TMS study do under a configuration; see `understudy.planning.work`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from understudy.planning.work import Work
from understudy.surrogate.costs import gaussian_work, surrogate_works, updates

# Thresholds of one cell and pulse that share a block, and networks of each refit.
_BLOCK, _MEMBERS = 96, 2
_HEADS = 2
# Cortical vertices of a hemisphere, and tries of a threshold search for a bracket of 0.05 %.
_VERTICES, _TRIES = 9_400, 11
_PUBLISHED_WEIGHTS = 30 * 80 + 80 * 60 + 60 * 45 + 45 * 33


def real_cells(tms: Any, data_dir: Path) -> int:
    """Reconstructed cells that a run takes: those that are there, or that a rule retrieves."""
    cells = tms.cells
    if cells.real_source == "none":
        return 0
    if cells.real_urls or cells.real_source == "required":
        return len(cells.real_files)
    return sum((data_dir / path).is_file() for path in cells.real_files)


def works(tms: Any, data_dir: Path) -> list[Work]:
    """Work of every rule of the study.

    Parameters
    ----------
    tms : the study's configuration.
    data_dir : folder of external data, in which reconstructed cells are looked for.
    """
    engine, sampling, placements, head = tms.engine, tms.sampling, tms.placements, tms.head
    types, real = len(tms.cells.types), real_cells(tms, data_dir)
    cells = types * tms.cells.clones + real
    pulses = 2 + len(tms.pulses.others)
    steps = 1000 * engine.window_ms / engine.dt_us
    tries = _TRIES + math.log2(5e-4 / engine.tolerance)
    # Voxels go with the cube of their edge, counted in those of 2 mm and of 0.5 mm.
    whole = (2.0 / head.voxel_mm) ** 3
    box = (0.5 / head.local_voxel_mm) ** 3 * (head.local_size_mm / 36.0) ** 3
    patches = (
        placements.training_patches
        + placements.calibration_patches
        + placements.heldout_patches
        + placements.second_head_patches
    )
    fields = patches * placements.per_patch

    training, calibration = cells * sampling.training, cells * sampling.calibration
    heldout = cells * (sampling.heldout + sampling.second_head + sampling.unseen_pulse)
    cases = training + calibration + heldout
    floor = 2 * cells * sampling.noise_floor
    step = tms.comparison.direction_step_deg
    directions = cells * ((180 // step - 1) * (360 // step) + 2)
    predictions = cells * tms.maps.azimuths * _VERTICES / tms.maps.vertex_step
    headline = training * (1 - (tms.pulses.others_share if tms.pulses.others else 0.0))
    filters = tms.comparison.published_filters
    weights = sum(a * b for a, b in zip((30, *filters), filters, strict=False)) / _PUBLISHED_WEIGHTS
    own = tms.surrogate

    def thresholds(count: float, kinds: int) -> dict[str, float]:
        """Thresholds by their time steps in millions, and resting states with their linear responses."""
        return {"threshold_steps": count * steps * tries / _TRIES / 1e6, "responses": kinds}

    def blocks(count: float, kinds: int) -> int:
        return max(kinds, math.ceil(count / _BLOCK))

    return [
        Work("compile_mechanisms"),
        Work(
            "build_cells",
            farmed={"cells": cells, "cell_steps": cells * steps / 1e3},
            serial={"cells": cells},
            blocks=cells,
            # Cells differ in size, and one that is refused is grown again.
            longest=2.3,
            memory={"cells": cells},
            disk={"cells": cells},
        ),
        Work("share_cells", after=("build_cells",), serial={"cells": cells}, disk={"cells": cells}),
        Work("place_coils", serial={"fields": fields, "voxels": whole}, memory={"voxels": whole}),
        Work(
            "simulate_fields",
            after=("place_coils",),
            # Ranks build each head and its solver for themselves.
            farmed={"whole": fields * whole, "box": fields * box, "heads": _HEADS, "solvers": _HEADS * whole},
            serial={"boxes": fields * box},
            blocks=patches,
            memory={"whole": whole, "box": box, "boxes": fields * box},
            disk={"boxes": fields * box},
        ),
        Work(
            "place_cells",
            after=("build_cells", "place_coils", "simulate_fields"),
            serial={"cases": cases},
            memory={"cases": cases},
            disk={"cases": cases},
        ),
        Work(
            "simulate_thresholds",
            after=("build_cells", "place_coils", "simulate_fields", "place_cells", "compile_mechanisms"),
            farmed=thresholds(cases, cells * pulses),
            serial={"cases": cases, "cells": cells},
            blocks=blocks(cases, cells * pulses),
            longest=2.0,
            # The first rank holds the inputs of all networks twice while it merges them.
            memory={"cases": cases},
            disk={"cases": cases},
        ),
        Work(
            "measure_threshold_noise",
            after=("build_cells", "simulate_fields", "place_cells", "compile_mechanisms"),
            farmed=thresholds(floor, cells),
            serial={"cells": cells},
            blocks=blocks(floor, cells),
            longest=2.0,
            memory={"cells": cells},
        ),
        Work(
            "map_directions",
            after=("build_cells", "compile_mechanisms"),
            farmed=thresholds(directions, cells),
            serial={"cells": cells},
            blocks=blocks(directions, cells),
            longest=2.0,
            memory={"cells": cells},
        ),
        Work(
            "compare_models",
            after=("build_cells", "simulate_thresholds", "map_directions", "evaluate_surrogate"),
            serial={
                "published": tms.comparison.published_epochs * headline * weights / 1e6,
                # One network for each cell alone, and one without each reconstructed cell.
                "updates": updates(own.training, training * (1 + real), _MEMBERS),
                "judged": heldout,
                "gaussian": gaussian_work(own.evaluation, [sampling.training]) * cells,
            },
            memory={"cases": cases},
            disk={"weights": cells * weights},
            resumes=True,
            network=True,
        ),
        Work(
            "map_thresholds",
            after=("build_cells", "place_coils", "train_surrogate", "simulate_thresholds"),
            serial={"predictions": predictions, "whole": whole, "cells": cells},
            memory={"whole": whole, "cells": cells},
            network=True,
        ),
        Work("write_surface_maps", after=("map_thresholds",)),
        Work(
            "verify_tms",
            after=("build_cells", "place_coils", "place_cells", "simulate_thresholds", "compile_mechanisms"),
            serial={
                "fields": types * tms.verification.fields * steps / 400,
                "timed": types if tms.verification.every_type else 1,
                "refined": float(tms.verification.refined > 0),
                "whole": whole,
            },
            memory={"whole": whole, "refined": float(tms.verification.refined > 0)},
            resumes=True,
        ),
        Work(
            "draw_tms",
            after=(
                "build_cells",
                "place_coils",
                "simulate_fields",
                "place_cells",
                "simulate_thresholds",
                "evaluate_surrogate",
                "verify_tms",
                "measure_threshold_noise",
                "compare_models",
                "map_thresholds",
            ),
            serial={"cases": cases},
            memory={"cases": cases},
        ),
        *surrogate_works(tms, "simulate_thresholds", "measure_threshold_noise", training, calibration, heldout),
    ]
