"""The TMS study's files with made-up but plausible numbers: input for the tests of its figures and its page."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np

from understudy.dataset import Field, write_ground_truth
from understudy.surrogate.result_file import create_result_file, fixed_text
from understudy.tms.compartments import COMPARTMENT_KINDS
from understudy.tms.fields import GridField
from understudy.tms.files import (
    Cell,
    PlacedCells,
    Placement,
    SimulatedThresholds,
    ThresholdMap,
    write_cells,
    write_fields,
    write_placements,
    write_samples,
    write_threshold_map,
    write_thresholds,
)
from understudy.tms.gate import uniform_directions
from understudy.tms.morphology import APICAL, AXON, BASAL, Morphology, Section, soma_section
from understudy.tms.thresholds import TARGET

TYPES = ("L23_PC", "L4_LBC", "L5_TTPC")
PULSES = ("monophasic", "biphasic", "rectangular_30us", "half_sine")
MODELS = {
    "network": 0.012, "network_per_cell": 0.016, "published_network": 0.022, "gradient_boosting": 0.05,
    "linear_polarisation": 0.06, "ridge": 0.09, "uniform_gradient": 0.055, "uniform_map": 0.085,
}  # fmt: skip
ROLES = ("training", "training", "calibration", "heldout", "second_head")


def _branch(kind: str, *points: tuple[float, float, float]) -> Section:
    return Section(kind, 0, np.array(points, dtype=float), np.linspace(2.0, 0.6, len(points)))


def morphology(name: str, reach_um: float) -> Morphology:
    """A soma with one apical and one basal dendrite and an axon of one branch."""
    r = reach_um
    return Morphology(
        name,
        (
            soma_section(12.0),
            _branch(APICAL, (0, 0, 6), (20, 0, r), (60, 0, 1.3 * r)),
            _branch(BASAL, (0, 0, -6), (-0.4 * r, 0, -0.3 * r)),
            _branch(AXON, (0, 0, -6), (10, 0, -0.5 * r), (0.5 * r, 0, -r)),
        ),
    )


def cells() -> list[Cell]:
    """One synthetic cell of each type, and a reconstructed one."""
    directions = uniform_directions()
    shape = 1 + 0.35 * directions[:, 2] ** 2 + 0.2 * directions[:, 0]
    made = [
        Cell(morphology(f"{kind}_1", 300 + 200 * n), kind, "synthetic", (220 + 15 * n) * shape, n)
        for n, kind in enumerate(TYPES)
    ]
    return [*made, Cell(morphology("C060114A5", 800), "L5_TTPC", "/data/C060114A5.asc", 180 * shape, 0)]


def placements() -> list[Placement]:
    pose = np.eye(4)
    pose[:3, 3] = (-50, -30, 85)
    return [
        Placement(
            f"{role} patch {n}, placement {k}", role, int(role == "second_head"), n,
            np.array([-37.0 + 12 * n, -21.0, 58.0]), pose,
        )
        for n, role in enumerate(ROLES)
        for k in range(2)
    ]  # fmt: skip


def field(number: int, side: int = 20) -> GridField:
    """A field that falls off from the top, in a band of tissue that a sulcus cuts."""
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    affine[:3, 3] = placements()[number].centre_mm - side / 2
    x, y, z = np.meshgrid(*(np.arange(side) - side / 2,) * 3, indexing="ij")
    strength = 1.2 * np.exp((z - side / 2) / side)
    value = np.stack([0.3 * strength, strength * np.cos(x / 6), 0.2 * strength], axis=-1).astype(np.float32)
    return GridField(value, affine, (np.abs(x - 0.2 * y) > 1.5) & (z < side / 2 - 3))


def _samples(per_cell: int, generator: np.random.Generator) -> PlacedCells:
    """So many cases of each cell and placement."""
    number = len(cells())
    groups = len(placements())
    place = np.repeat(np.arange(groups), number * per_cell)
    cell = np.tile(np.repeat(np.arange(number), per_cell), groups)
    role = np.array([placement.role for placement in placements()])[place]
    split = np.where(role == "second_head", "heldout", role)
    names = {"training": "sampled", "calibration": "random", "heldout": "random", "second_head": "second_head"}
    subset = np.array([names[each] for each in role])
    count = len(place)
    pulse = np.where(role == "training", np.arange(count) % 3, 0)
    unseen = (role == "heldout") & (np.arange(count) % 5 == 0)
    subset, pulse = np.where(unseen, "unseen_pulse", subset), np.where(unseen, 3, pulse)
    return PlacedCells(
        cell=cell,
        placement=place,
        position_mm=generator.normal(size=(count, 3)),
        normal=np.tile([0.0, 0.0, 1.0], (count, 1)),
        azimuth_rad=generator.uniform(0, 6.28, count),
        pulse=pulse,
        split=split,
        subset=subset,
        vertex=np.arange(count) // 6,
        drawn=np.full((groups, 3), 100),
        refused=np.tile([10, 25, 40], (groups, 1)),
        pulses=PULSES,
        types=TYPES,
    )


def hemisphere(rings: int = 14) -> tuple[np.ndarray, np.ndarray]:
    """A closed ball of triangles where a left hemisphere lies, (V, 3) mm and (T, 3)."""
    polar, azimuth = np.meshgrid(
        np.linspace(0, np.pi, rings), np.linspace(0, 2 * np.pi, 2 * rings, endpoint=False), indexing="ij"
    )
    points = np.stack(
        [32 * np.sin(polar) * np.cos(azimuth) - 35, 80 * np.sin(polar) * np.sin(azimuth) - 20, 55 * np.cos(polar) + 15],
        axis=-1,
    ).reshape(-1, 3)
    index = np.arange(points.shape[0]).reshape(rings, -1)
    a, b, c, d = index[:-1], index[1:], np.roll(index[1:], -1, axis=1), np.roll(index[:-1], -1, axis=1)
    return points, np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])


def threshold_map(points: np.ndarray | None = None, triangles: np.ndarray | None = None) -> ThresholdMap:
    if points is None or triangles is None:
        points, triangles = hemisphere()
    pose = placements()[0].pose
    distance = np.linalg.norm(points - pose[:3, 3], axis=1)
    strength = 1.4 * np.exp(-(distance - distance.min()) / 25) * (1 + 0.1 * np.sin(points[:, 1] / 6))
    strength = np.stack([strength * factor for factor in (1.0, 0.97, 0.95)])
    field_threshold = np.stack([np.full(len(points), value) for value in (260.0, 250.0, 235.0)])
    bare = distance > np.quantile(distance, 0.97)
    threshold = np.where(bare, np.nan, field_threshold / strength)
    return ThresholdMap(
        points_mm=points,
        triangles=triangles,
        types=TYPES,
        median_A_per_us=threshold,
        median_V_per_m=np.where(bare, np.nan, field_threshold),
        interval_width=0.04 + 0.03 * np.sin(points[:, 1] / 9) ** 2 * np.ones((3, 1)),
        flagged=np.zeros((3, len(points))),
        strength=np.where(bare, np.nan, strength),
        pose=pose,
    )


def _errors(mape: float) -> dict[str, float]:
    return {
        "mape": mape, "median_ape": 0.8 * mape, "p95_ape": 2.5 * mape, "bias": 0.1 * mape, "r2": 1 - 25 * mape**2,
    }  # fmt: skip


def _set(shift: float, groups: int) -> dict[str, Any]:
    def models(factor: float) -> dict[str, Any]:
        return {model: _errors((factor + shift) * mape) for model, mape in MODELS.items()}

    def paired(reference: str) -> dict[str, Any]:
        table = {}
        for model, mape in MODELS.items():
            difference = MODELS[reference] - mape
            ends = {"value": difference, "low": difference - 0.003, "high": difference + 0.003}
            if groups < 2:
                ends |= {"low": None, "high": None}
            table[model] = {"mape": mape} | ({} if model == reference else {"difference": ends})
        return table

    types = {
        kind: {
            "n": 200,
            "models": models(1 + 0.2 * n),
            "paired": {name: paired(name) for name in ("network", "network_per_cell", "published_network")},
        }
        for n, kind in enumerate(TYPES)
    }
    return {
        "n": 600,
        "groups": groups,
        "all": models(1.1),
        "types": types,
        "cells": {cell.name: {model: 1.1 * mape for model, mape in MODELS.items()} for cell in cells()},
        "population": {kind: {"positions": 40, "models": models(0.4)} for kind in TYPES},
        "field": {
            kind: {"beyond_uniform": 0.12, "beyond_linear": 0.03, "beyond_second_order": 0.011} for kind in TYPES
        },
    }


def comparison() -> dict[str, Any]:
    return {
        "study": "tms",
        "pulse": "monophasic",
        "sets": {"random": _set(0.0, 24), "second_head": _set(0.4, 20)},
        "left_out_cells": {"C060114A5": {"n": 600, "mape": 0.08, "bias": -0.03}},
    }


def noise_floor() -> dict[str, Any]:
    return {
        "study": "tms", "thresholds": 160, "moved_um": 10.0, "mape": 0.003,
        "targets": {TARGET: {"r2": 0.999, "nrmse": 0.004}},
    }  # fmt: skip


def verification() -> dict[str, Any]:
    tau = [0.21, 0.18, 0.24, 0.2]
    pole = [[90 / (1 - np.exp(-1e-3 * width / t)) for width in (30, 60, 120)] for t in tau]
    return {
        "checks": [{"name": "engine", "value": 1e-4, "expected": 0.0, "tolerance": 1e-3, "passed": True}],
        "strength_duration": {
            "cells": [cell.name for cell in cells()],
            "width_us": [30, 60, 120],
            "threshold_V_per_m": [[p * f for p, f in zip(row, (1.02, 0.985, 1.01), strict=True)] for row in pole],
            "predicted_V_per_m": pole,
            "tau_ms": tau,
        },
        "timing": {
            "engine_s_per_threshold": 0.09, "injection_s_per_threshold": 1.1, "script_s_per_threshold": 8.4,
            "threshold_difference": 2e-4,
        },
    }  # fmt: skip


def deployment() -> dict[str, Any]:
    return {
        "n": 553_000, "seconds": 41.0, "seconds_per_case": 7.4e-5, "field_sampling_s": 15.0, "features_s": 12.0,
        "network_s": 14.0, "seconds_per_case_direct": 0.09, "threads": 1, "device": "cpu",
        "placement": "heldout patch 3, placement 0", "cells": 15, "azimuths": 12, "vertices": 10242, "outside": 1200,
        "flagged_share": 0.012,
    }  # fmt: skip


def metrics() -> dict[str, Any]:
    own = {TARGET: {"r2": 0.996, "nrmse": 0.012, "mape": 0.012, "unit": "V/m", "interval_width": 12.0}}
    return {
        "study": "tms",
        "n_train": 4000,
        "targets": own,
        "subsets": {
            name: {"n": 100, "groups": 4, "targets": own} for name in ("random", "second_head", "unseen_pulse")
        },
        "coverage_judgement": {TARGET: {"coverage": 0.905, "low": 0.88, "high": 0.92, "passed": True}},
    }


def write_run(folder: Path, per_cell: int = 6, surface: tuple[np.ndarray, np.ndarray] = (None, None)) -> Namespace:
    """All files that the drawing program reads, by the real writers; arguments as the program takes them."""
    generator = np.random.default_rng(4)
    folder.mkdir(parents=True, exist_ok=True)
    samples = _samples(per_cell, generator)
    count = len(samples)
    threshold = 240 * np.exp(0.25 * generator.normal(size=count))
    # One case without a threshold, in training.
    threshold[0] = np.nan
    site = generator.choice(
        [COMPARTMENT_KINDS.index(k) for k in ("node", "unmyelinated", "axon_initial")], count, p=[0.5, 0.4, 0.1]
    )
    paths = {
        name: folder / f"{name}.h5"
        for name in ("cells", "placements", "fields", "samples", "dataset", "thresholds", "predictions", "map")
    }
    write_cells(paths["cells"], cells(), uniform_directions())
    write_placements(paths["placements"], placements(), [np.arange(5)] * len(ROLES))
    write_fields(paths["fields"], ((n, field(n)) for n in range(len(placements()))))
    write_samples(paths["samples"], samples)
    write_ground_truth(
        paths["dataset"],
        study="tms",
        inputs=np.zeros((count, 1, 2)),
        targets=threshold[:, None],
        case=np.arange(count),
        group=samples.placement,
        split=samples.split,
        subset=samples.subset,
        failed=np.where(np.isfinite(threshold), "", "no threshold up to the limit").tolist(),
        channels=[Field("polarisation", "mV")],
        target_fields=[Field(TARGET, "V/m")],
        group_names=[placement.name for placement in placements()],
        input_step=1.0,
        input_step_unit="terminals",
        attributes={"cells": 4, "engine": "batched", "dt_us": 5.0, "headline_pulse": "monophasic"},
    )
    write_thresholds(
        paths["thresholds"],
        SimulatedThresholds(
            threshold=threshold,
            site_kind=np.where(np.isfinite(threshold), site, -1),
            site_to_terminal_um=np.where(generator.random(count) < 0.6, 0.0, generator.exponential(80.0, count)),
            time_ms=np.full(count, 0.2),
            runs=np.full(count, 9),
            cell=samples.cell,
            placement=samples.placement,
            pulse=samples.pulse,
            vertex=samples.vertex,
            azimuth_rad=samples.azimuth_rad,
            split=samples.split,
            subset=samples.subset,
            centre_field=generator.normal(size=(count, 3)),
            coefficients=np.zeros((count, 26)),
            cube_strength=np.ones(count),
            cube=np.zeros((count, 3, 2, 2, 2)),
            attributes={"cpu_s_per_threshold": 0.09, "not_found": 1},
        ),
    )
    held = np.flatnonzero(samples.split == "heldout")
    truth = threshold[held, None]
    mean = truth * np.exp(0.015 * generator.normal(size=truth.shape))
    mean = np.where(samples.subset[held, None] == "unseen_pulse", 1.02 * truth, mean)
    with create_result_file(paths["predictions"], "understudy.predictions", "tms", [Field(TARGET, "V/m")]) as file:
        file["heldout/case"], file["heldout/group"] = held, samples.placement[held]
        file["heldout/subset"] = fixed_text(samples.subset[held].tolist())
        for name, values in (("truth", truth), ("mean", mean), ("lower", 0.97 * mean), ("upper", 1.03 * mean)):
            file[f"heldout/{name}"] = values.astype(np.float32)
        file["heldout/baselines/linear_polarisation/mean"] = (1.06 * truth).astype(np.float32)
    write_threshold_map(paths["map"], threshold_map(*surface))
    contents = {
        "checks": verification(), "metrics": metrics(), "floor": noise_floor(), "comparison": comparison(),
        "deployment": deployment(),
    }  # fmt: skip
    for name, content in contents.items():
        paths[name] = folder / f"{name}.json"
        paths[name].write_text(json.dumps(content))
    return Namespace(**paths, code=None, overwrite=False)
