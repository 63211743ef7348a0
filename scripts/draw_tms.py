"""Draw the TMS study's figures and write what the report says about it.

Files that a run has not may be left out: their figures become a line that says so, and the page does too.
"""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from understudy.dataset import open_ground_truth
from understudy.errors import InputError
from understudy.provenance.arguments import main, parser
from understudy.provenance.job import job
from understudy.report.results import read_json
from understudy.report.sheets import Sheets
from understudy.surrogate.json_file import finite
from understudy.tms import field_figures, map_figures, model_figures, threshold_figures
from understudy.tms.cell_figures import draw_cells
from understudy.tms.files import (
    Cell,
    HeadLabels,
    PlacedCells,
    Placement,
    SimulatedThresholds,
    open_fields,
    open_thresholds,
    read_cells,
    read_heads,
    read_placements,
    read_samples,
    read_threshold_map,
)
from understudy.tms.goals import NAMES
from understudy.tms.head_model import TISSUES
from understudy.tms.model_comparison import summarise
from understudy.tms.presentation import presentation
from understudy.tms.study_heads import SECOND_HEAD, TRAINED_HEAD

REQUIRED = ("cells", "placements", "fields", "samples", "dataset", "thresholds", "predictions", "metrics")
OPTIONAL = ("checks", "floor", "comparison", "map", "deployment")
# Argument -> name of its content for the page.
JSON_FILES = {
    "metrics": "metrics",
    "checks": "verification",
    "floor": "floor",
    "comparison": "comparison",
    "deployment": "deployment",
}
# Words of each set of thresholds -> split and subset in the files.
SETS = {
    "training": ("training", None),
    "calibration": ("calibration", None),
    "held out": ("heldout", "random"),
    "in the second head": ("heldout", "second_head"),
    "held out with the unseen pulse": ("heldout", "unseen_pulse"),
}
# Fewer cells of each type than this stand in one row.
FEW = 3
POLARISATION = "linear_polarisation"


def read_heldout(path: Path, cases: int) -> dict[str, np.ndarray]:
    """Held-out predictions: ``case``, ``subset``, ``truth``, ``mean`` (N,) and those of linear polarisation."""
    try:
        with h5py.File(path, "r") as file:
            held = file["heldout"]
            found = {name: held[name][...] for name in ("case", "truth", "mean")}
            found["subset"] = held["subset"][...].astype(str)
            baseline = f"baselines/{POLARISATION}/mean"
            found[POLARISATION] = held[baseline][...] if baseline in held else np.full_like(found["mean"], np.nan)
    except OSError:
        raise InputError(f"{path}: found no readable HDF5 file; accepted is a file of held-out predictions") from None
    except KeyError as error:
        raise InputError(f"{path}: {error.args[0]}; accepted is a file of held-out predictions") from None
    if len(found["case"]) and found["case"].max() >= cases:
        raise InputError(
            f"{path}: found case {found['case'].max()}; accepted are those of thresholds.h5, 0 to {cases - 1}"
        )
    return {
        name: values[:, 0].astype(float) if name in ("truth", "mean", POLARISATION) else values
        for name, values in found.items()
    }


def cell_facts(cells: list[Cell]) -> list[dict[str, Any]]:
    """What the page says of each cell."""
    facts = []
    for cell in cells:
        gate = cell.gate[np.isfinite(cell.gate)]
        ends = [float(gate.min()), float(np.median(gate)), float(gate.max())] if gate.size else [None] * 3
        facts.append(
            {
                "name": cell.name,
                "type": cell.cell_type,
                "source": "synthetic" if cell.source == "synthetic" else Path(cell.source).name,
                "rejected": int(cell.rejected),
                "gate": ends,
                "gate_missing": int(len(cell.gate) - gate.size),
            }
        )
    return facts


def by_role(placements: list[Placement]) -> dict[str, dict[str, int]]:
    """Numbers of patches and placements of each role."""
    return {
        role: {
            "patches": len({placement.patch for placement in placements if placement.role == role}),
            "placements": sum(placement.role == role for placement in placements),
        }
        for role in dict.fromkeys(placement.role for placement in placements)
    }


def study_facts(
    cells: list[Cell],
    placements: list[Placement],
    samples: PlacedCells,
    found: SimulatedThresholds,
    held: Mapping[str, np.ndarray],
) -> dict[str, Any]:
    """Numbers of the run that stand in no result file, see `understudy.tms.presentation.presentation`."""
    kinds = np.array([cell.cell_type for cell in cells])[found.cell]
    known = np.isfinite(found.threshold)
    unseen_rows = held["subset"] == "unseen_pulse"
    pulse = set(found.pulse[found.subset == "unseen_pulse"].tolist())
    name = samples.pulses[pulse.pop()] if len(pulse) == 1 else ""
    errors = {}
    for kind in NAMES:
        rows = unseen_rows & (kinds[held["case"]] == kind)
        if rows.any():
            truth = held["truth"][rows]
            errors[kind] = summarise(truth, held["mean"][rows]) | {
                "n": int(rows.sum()),
                POLARISATION: float(np.mean(np.abs(held[POLARISATION][rows] / truth - 1))),
            }
    return {
        "cells": cell_facts(cells),
        "per_cell": {cell.name: int((known & (found.cell == n)).sum()) for n, cell in enumerate(cells)},
        "placements": by_role(placements),
        "positions": {
            key: dict(zip(samples.types, getattr(samples, key).sum(axis=0).tolist(), strict=True))
            for key in ("drawn", "refused")
        },
        "thresholds": {
            words: int(((found.split == split) & ((found.subset == subset) if subset else True)).sum())
            for words, (split, subset) in SETS.items()
        },
        "not_found": int((~known).sum()),
        "pulses": list(samples.pulses),
        "unseen_pulse": name.replace("_", " "),
        "unseen_pulse_name": name,
        "unseen": errors,
        "initiation": {
            kind: threshold_figures.initiation_shares(found.site_kind[rows], found.site_to_terminal_um[rows])
            for kind in NAMES
            if (rows := known & (kinds == kind)).any()
        },
        "cpu_s_per_threshold": found.attributes.get("cpu_s_per_threshold"),
    }


def draw_neurons(sheets: Sheets, cells: list[Cell], found: SimulatedThresholds, verification: Any) -> None:
    """The cells, their gate, where their spikes start, and strength-duration."""
    own = {kind: [cell for cell in cells if cell.cell_type == kind] for kind in NAMES}
    if path := sheets.path("cells"):
        rows = [(NAMES[kind], [cell.morphology for cell in some]) for kind, some in own.items() if some]
        if max(len(some) for _, some in rows) < FEW:
            rows = [(", ".join(words for words, _ in rows), [cell for _, some in rows for cell in some])]
        draw_cells(rows, path)
    if path := sheets.path("gate"):
        threshold_figures.gate_ranges(path, [(cell.name, kind, cell.gate) for kind in own for cell in own[kind]])
    kinds, known = np.array([cell.cell_type for cell in cells])[found.cell], np.isfinite(found.threshold)
    sites = {kind: known & (kinds == kind) for kind in NAMES}
    sites = {kind: (found.site_kind[rows], found.site_to_terminal_um[rows]) for kind, rows in sites.items()}
    if known.any() and (path := sheets.path("initiation")):
        threshold_figures.initiation(path, sites)
    curves = (verification or {}).get("strength_duration")
    if curves and (path := sheets.path("strength_duration")):
        types = {cell.name: cell.cell_type for cell in cells}
        if not threshold_figures.strength_duration(path, curves, types):
            sheets.not_drawn("strength_duration")


def placement_words(placement: Placement) -> str:
    """Patch and placement, without the role that their name starts with."""
    return placement.name.removeprefix(placement.role).strip()


def draw_heads(sheets: Sheets, heads: Mapping[int, HeadLabels], placements: list[Placement]) -> None:
    """Tissues of the heads that have placements, through the first patch that is not trained on."""
    if not heads or not (path := sheets.path("head")):
        return
    shown, patches = [], []
    for number, title in ((TRAINED_HEAD, "Head that is trained on"), (SECOND_HEAD, "Second head")):
        here = [placement for placement in placements if placement.head == number]
        if not here or number not in heads:
            continue
        first = next((placement for placement in here if placement.role in ("heldout", "second_head")), here[0])
        shown.append((title, heads[number].labels, heads[number].affine, first.centre_mm))
        patches.append(np.stack(list({placement.patch: placement.centre_mm for placement in here}.values())))
    field_figures.heads(path, shown, TISSUES, patches)


def draw_fields(sheets: Sheets, path: Path, placements: list[Placement]) -> None:
    """The field of the first held-out placement and of the first one in the second head."""
    titles = {"heldout": "Head that is trained on", "second_head": "Second head"}
    chosen = {
        title: next((n for n, placement in enumerate(placements) if placement.role == role), None)
        for role, title in titles.items()
    }
    chosen = {title: number for title, number in chosen.items() if number is not None}
    if not chosen or not (picture := sheets.path("fields")):
        return
    with open_fields(path) as field_of:
        shown = {
            f"{title}: {placement_words(placements[n])}": (field_of(n), placements[n].centre_mm)
            for title, n in chosen.items()
        }
    field_figures.fields(picture, shown)


def draw_models(sheets: Sheets, comparison: Any) -> None:
    """Errors of all models, of single cells and of populations."""
    if not comparison:
        return
    for name, draw in (("models", model_figures.compared_models), ("population", model_figures.population)):
        if (path := sheets.path(name)) and not draw(path, comparison):
            sheets.not_drawn(name)


def draw_maps(
    sheets: Sheets, path: Path | None, held: Mapping[str, np.ndarray], cells: list[Cell], cell: np.ndarray
) -> None:
    """The hemisphere, and beside it predicted against simulated thresholds of the held-out set."""
    if path is None:
        return
    found = read_threshold_map(path)
    if picture := sheets.path("map"):
        map_figures.threshold_maps(picture, found)
    kinds = np.array([each.cell_type for each in cells])[cell[held["case"]]]
    pairs, notes = {}, {}
    for kind in found.types:
        rows = (held["subset"] == "random") & (kinds == kind)
        pairs[kind] = (held["truth"][rows], held["mean"][rows])
        if rows.any():
            errors = summarise(*pairs[kind])
            notes[kind] = f"MAPE {errors['mape']:.2%}\nR² {errors['r2']:.3f}\n{rows.sum():,} cases".replace("%", " %")
    if picture := sheets.path("lead"):
        map_figures.lead(picture, found, pairs, notes)


def run(arguments: Namespace) -> None:
    pictures = {path.stem: path for path in arguments.figures}
    inputs = {name: getattr(arguments, name) for name in REQUIRED}
    inputs |= {name: path for name in OPTIONAL if (path := getattr(arguments, name)) is not None}
    with job(
        program="draw_tms",
        study="tms",
        inputs=inputs,
        outputs={"presentation": arguments.presentation, **pictures},
        code=arguments.code,
        parameters={},
        overwrite=arguments.overwrite,
    ) as this:
        sheets = Sheets(this, pictures)
        results = {
            name: None if (path := getattr(arguments, argument)) is None else read_json(path)
            for argument, name in JSON_FILES.items()
        }
        cells, _ = read_cells(arguments.cells)
        placements, _ = read_placements(arguments.placements)
        samples = read_samples(arguments.samples)
        with open_ground_truth(arguments.dataset, "tms") as truth:
            attributes = dict(truth.attributes)
        with open_thresholds(arguments.thresholds) as found:
            held = read_heldout(arguments.predictions, len(found.threshold))
            facts = study_facts(cells, placements, samples, found, held)
            draw_neurons(sheets, cells, found, results["verification"])
            draw_maps(sheets, arguments.map, held, cells, found.cell)
        draw_heads(sheets, read_heads(arguments.fields), placements)
        draw_fields(sheets, arguments.fields, placements)
        draw_models(sheets, results["comparison"])
        sheets.finish()
        content = finite(presentation(facts, attributes, results, sheets.drawn))
        text = json.dumps(content, indent=2, ensure_ascii=False, sort_keys=True, allow_nan=False)
        this.temporary("presentation").write_text(text + "\n")


if __name__ == "__main__":
    arguments = parser(__doc__)
    for name in REQUIRED:
        arguments.add_argument(f"--{name}", type=Path, required=True)
    for name in OPTIONAL:
        arguments.add_argument(f"--{name}", type=Path, default=None)
    arguments.add_argument("--presentation", type=Path, required=True)
    arguments.add_argument("--figures", type=Path, nargs="+", required=True)
    main(run, arguments)
