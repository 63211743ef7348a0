"""The surrogate's error where it is known at every voxel: against direct simulation of a whole white matter.

Neighbouring voxels share the strain of an element, so errors are also given for the means over elements, which are as
many as there are independent strains. Voxels without streamlines have a filled fibre direction and are told apart.
Measures are those of `understudy.surrogate.metrics`; bias is the mean of surrogate minus direct.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from understudy.surrogate.metrics import coverage, nrmse, r2, target_metrics

PEAK_STRAIN_EDGES = (0.0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2)
"""Lower edges of the classes of peak fibre strain; the last has no upper edge."""

SMALLEST_TRACT = 50
"""Voxels that a tract needs for errors of its own."""

FILLED = "no streamlines (filled)"


@dataclass(frozen=True)
class VoxelPairs:
    """Direct simulation and surrogate on the same voxels.

    Attributes
    ----------
    direct : (v, t) simulated values, NaN in the row of a simulation that failed.
    mean, lower, upper : (v, t) the surrogate's prediction and its nominal 90 % interval.
    peak_strain : (v,) largest tensile fibre strain of the history.
    element : (v,) number of the element that holds the voxel.
    covered : (v,) bool, streamlines gave the fibre direction.
    flagged : (v,) bool, the history is unlike the training data.
    tract : (v,) number of the tract, -1 where no streamline passes; None where no tracts are known.
    """

    direct: np.ndarray
    mean: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    peak_strain: np.ndarray
    element: np.ndarray
    covered: np.ndarray
    flagged: np.ndarray
    tract: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.direct)

    def take(self, rows: np.ndarray) -> VoxelPairs:
        """The voxels chosen by a mask or by row numbers; values in float64."""
        values = {name: getattr(self, name)[rows].astype(float) for name in ("direct", "mean", "lower", "upper")}
        marks = {name: getattr(self, name)[rows] for name in ("peak_strain", "element", "covered", "flagged")}
        return VoxelPairs(**values, **marks, tract=None if self.tract is None else self.tract[rows])


def white_matter_errors(names: Sequence[str], pairs: VoxelPairs, tract_names: Sequence[str] = ()) -> dict[str, Any]:
    """Errors of the surrogate over the white matter and its parts.

    Parameters
    ----------
    names : names of the t targets.
    pairs : direct simulation and surrogate; voxels whose simulation failed are left out and counted.
    tract_names : name of each number in ``pairs.tract``.

    Returns
    -------
    dict
        ``n``, ``failed`` and ``elements``; ``targets``, ``covered`` and ``filled`` (all measures); ``by_strain``,
        ``by_tract``, ``by_element`` and ``flagged``. NRMSE of a class of strain or of a tract is the RMSE over the
        range of all voxels. Classes without voxels are left out, sets without voxels None; a measure that is not
        defined is NaN.

    Raises
    ------
    ValueError
        If no simulation succeeded.
    """
    succeeded = np.isfinite(pairs.direct).all(axis=1)
    if not succeeded.any():
        raise ValueError("direct: found no voxel whose simulation succeeded")
    good = pairs.take(succeeded)
    span = np.ptp(good.direct, axis=0)
    return {
        "n": len(good),
        "failed": len(pairs) - len(good),
        "elements": len(np.unique(good.element)),
        "targets": _measures(names, good),
        "covered": _part(names, good, good.covered),
        "filled": _part(names, good, ~good.covered),
        "by_strain": _by_strain(names, good, span),
        "by_tract": None if good.tract is None else _by_tract(names, good, span, tract_names),
        "by_element": _by_element(names, good),
        "flagged": _flagged(names, good),
    }


def _measures(names: Sequence[str], pairs: VoxelPairs) -> dict[str, dict[str, float]]:
    """All measures of each target."""
    measures = {}
    for column, name in enumerate(names):
        direct, mean = pairs.direct[:, column], pairs.mean[:, column]
        measures[name] = {
            **target_metrics(direct, mean),
            "bias": float(np.mean(mean - direct)),
            "coverage90": coverage(direct, pairs.lower[:, column], pairs.upper[:, column]),
        }
    return measures


def _part(names: Sequence[str], pairs: VoxelPairs, inside: np.ndarray) -> dict[str, Any] | None:
    """All measures on some of the voxels; None where there are none."""
    if not inside.any():
        return None
    return {"n": int(inside.sum()), "targets": _measures(names, pairs.take(inside))}


def _differences(direct: np.ndarray, mean: np.ndarray, span: float) -> dict[str, float]:
    """Error of one target on part of the voxels; ``span`` is the range of the truth over all of them."""
    rmse = float(np.sqrt(np.mean((mean - direct) ** 2)))
    return {
        "rmse": rmse,
        "nrmse": rmse / span if span > 0 else float("nan"),
        "bias": float(np.mean(mean - direct)),
        "mean_direct": float(direct.mean()),
        "mean_surrogate": float(mean.mean()),
    }


def _by_strain(names: Sequence[str], pairs: VoxelPairs, span: np.ndarray) -> list[dict[str, Any]]:
    """Errors by peak fibre strain; a history that is never in tension is in the lowest class."""
    number = np.searchsorted(PEAK_STRAIN_EDGES[1:], pairs.peak_strain, side="right")
    classes = []
    for k, (low, high) in enumerate(pairwise((*PEAK_STRAIN_EDGES, None))):
        inside = number == k
        if not inside.any():
            continue
        targets = {
            name: _differences(pairs.direct[inside, column], pairs.mean[inside, column], span[column])
            for column, name in enumerate(names)
        }
        classes.append({"low": low, "high": high, "n": int(inside.sum()), "targets": targets})
    return classes


def _by_tract(
    names: Sequence[str], pairs: VoxelPairs, span: np.ndarray, tract_names: Sequence[str]
) -> list[dict[str, Any]]:
    """Errors by tract, the largest first, then those of the voxels without one."""
    sizes = [(tract, int(np.sum(pairs.tract == number)), number) for number, tract in enumerate(tract_names)]
    chosen = sorted((entry for entry in sizes if entry[1] >= SMALLEST_TRACT), key=lambda entry: (-entry[1], entry[0]))
    left = int(np.sum(pairs.tract < 0))
    if left:
        chosen.append((FILLED, left, -1))
    rows = []
    for tract, count, number in chosen:
        inside = pairs.tract == number
        targets = {}
        for column, name in enumerate(names):
            direct, mean = pairs.direct[inside, column], pairs.mean[inside, column]
            targets[name] = {"r2": r2(direct, mean), **_differences(direct, mean, span[column])}
        rows.append({"tract": tract, "n": count, "targets": targets})
    return rows


def _by_element(names: Sequence[str], pairs: VoxelPairs) -> dict[str, Any]:
    """Errors of the means over the voxels of an element."""
    elements, row = np.unique(pairs.element, return_inverse=True)
    count = np.bincount(row)
    targets = {}
    for column, name in enumerate(names):
        direct = np.bincount(row, weights=pairs.direct[:, column]) / count
        mean = np.bincount(row, weights=pairs.mean[:, column]) / count
        targets[name] = {"r2": r2(direct, mean), "nrmse": nrmse(direct, mean)}
    return {"n": len(elements), "targets": targets}


def _flagged(names: Sequence[str], pairs: VoxelPairs) -> dict[str, Any]:
    """Share of voxels flagged as unlike the training data, and the errors there; None where there are none."""
    share = float(pairs.flagged.mean())
    if not pairs.flagged.any():
        return {"share": share, "targets": None}
    inside = pairs.take(pairs.flagged)
    targets = {
        name: {
            "r2": r2(inside.direct[:, column], inside.mean[:, column]),
            "nrmse": nrmse(inside.direct[:, column], inside.mean[:, column]),
        }
        for column, name in enumerate(names)
    }
    return {"share": share, "targets": targets}
