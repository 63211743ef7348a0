"""A small run of the axon study without mechanics: pulses as fibre strain, and targets by formula."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from understudy.axon.axon_mechanics import TARGETS
from understudy.axon.fibre_orientation import FibreField
from understudy.axon.files import StrainWriter, write_orientation
from understudy.axon.tracts import Tracts
from understudy.axon.white_matter import WhiteMatter
from understudy.dataset import Field, write_ground_truth

SAMPLES = 41
ROLES = ("training",) * 4 + ("calibration",) * 2 + ("heldout",) * 2
LABELS = tuple(f"impact {k}" for k in range(len(ROLES)))
MEANS = tuple(f"{name}_mean" for name in TARGETS)


def white_matter() -> WhiteMatter:
    """6 x 6 x 4 voxels of 3 mm, so 18 cubes of 6 mm."""
    index = np.argwhere(np.ones((6, 6, 4), dtype=bool))
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    return WhiteMatter(index, index * 3.0, np.ones(len(index)), affine, (6, 6, 4), 3.0)


def histories() -> np.ndarray:
    """(impact, voxel, time) float32 pulses, some impacts harder than others."""
    rng = np.random.default_rng(8)
    n = len(white_matter().index)
    t = np.arange(SAMPLES)
    hard = np.linspace(0.02, 0.08, len(ROLES))[rng.permutation(len(ROLES))][:, None, None]
    height = hard * rng.lognormal(0, 0.5, (len(ROLES), n, 1))
    width = rng.uniform(8, 25, (len(ROLES), n, 1))
    phase = np.clip((t - rng.uniform(0, 12, (len(ROLES), n, 1))) / width, 0, 1)
    return np.minimum(height * np.sin(np.pi * phase), 0.4).astype(np.float32)


def write_strain(path: Path) -> Path:
    """``fibre_strain.h5`` of these histories."""
    field = FibreField(
        np.eye(3)[np.zeros(len(white_matter().index), int)], np.ones(144), np.ones(144, bool), "synthetic"
    )
    strain = histories()
    velocity = np.zeros((len(ROLES), SAMPLES, 3))
    velocity[:, 5, 0], velocity[:, 5, 1] = 3.0 * (1 + np.arange(len(ROLES))), 4.0 * (1 + np.arange(len(ROLES)))
    with StrainWriter(path, white_matter(), field, np.zeros(144, int), SAMPLES) as writer:
        writer.impacts(ROLES, LABELS, [{}] * len(ROLES), velocity)
        writer.balance(np.zeros(len(ROLES)))
        for impact, values in enumerate(strain):
            writer.strain(impact, values)
    return path


def write_field(path: Path) -> Path:
    """``fibre_orientation.h5`` with two large tracts and one of ten voxels; the last voxels have none."""
    field = FibreField(np.eye(3)[np.zeros(144, int)], np.ones(144), np.ones(144, bool), "tractogram")
    number = np.repeat([0, 1, 2, -1], [60, 70, 10, 4])
    write_orientation(path, white_matter(), field, Tracts(number, ("Cingulum", "Fornix", "Tapetum")))
    return path


def response(strain: np.ndarray, factor: float = 1.0) -> np.ndarray:
    """(n, 4) outputs of histories (n, t) by formula; ``factor`` makes another axon of it."""
    peak, impulse = strain.max(axis=1), strain.mean(axis=1)
    share = 1 - np.exp(-factor * 30 * impulse)
    return np.stack([0.4 * factor * peak, 2 * factor * peak, share, 0.5 * share], axis=1).astype(float)


def write_truth(path: Path, factor: float = 1.0, case: np.ndarray | None = None, means: bool = False, **facts) -> Path:
    """``ground_truth.h5``: 30 voxels of each impact, the last five of a held-out one as worst case.

    Parameters
    ----------
    factor : see `response`.
    case : cases to keep; all by default.
    means : layout means after the reference layout's outputs, a tenth below them.
    facts : further attributes.
    """
    strain = histories()
    impact = np.repeat(np.arange(len(ROLES)), 30)
    voxel = np.tile(np.arange(0, 120, 4), len(ROLES))
    split = np.array(ROLES)[impact]
    worst = (split == "heldout") & (voxel >= 100)
    subset = np.where(worst, "worst_case", np.where(split == "training", "sampled", "random"))
    inputs = strain[impact, voxel]
    targets = response(inputs, factor)
    names = TARGETS
    if means:
        targets, names = np.concatenate([targets, 0.9 * targets], axis=1), (*TARGETS, *MEANS)
    rows = np.arange(len(impact)) if case is None else np.asarray(case)
    write_ground_truth(
        path,
        study="axon",
        inputs=inputs[rows][:, None],
        targets=targets[rows],
        case=rows,
        group=impact[rows],
        split=split[rows],
        subset=subset[rows],
        failed=[""] * len(rows),
        channels=[Field("fibre_strain", "1")],
        target_fields=[Field(name, "1") for name in names],
        group_names=LABELS,
        input_step=1.0,
        input_step_unit="ms",
        attributes={"layouts": 2, "sampling": "all", "field_source": "synthetic", **facts},
    )
    return path
