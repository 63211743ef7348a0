"""Measured shape of a neuron's axon and dendrites: counts, lengths, orders, diameters, angles and extents."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from understudy.tms.morphology import APICAL, AXON, BASAL, Morphology

# Along this much of each daughter the angle of a branching is measured, um.
_ANGLE_REACH_um = 10.0


def measured_statistics(morphology: Morphology) -> dict[str, dict[str, float]]:
    """Statistics of the axon and of each kind of dendrite, with the definitions of `morphology_targets`.

    Returns
    -------
    For each kind that the cell has: ``stems``, ``sections``, ``terminals``, ``total_um``; quantiles ``inner_q25_um``
    ... of the lengths of branching sections and ``terminal_q25_um`` ... of terminal ones; ``order_median`` and
    ``order_max`` over sections (a stem has order 0); ``path_p10_um`` ... from the stem's start to terminals;
    ``diameter_p5_um`` ... over points and ``stem_diameter_um`` (mean of the stems' first diameters);
    ``straightness_p10`` ... (chord over length); ``angle_q25_deg`` ... between daughters over their first 10 um;
    ``x_low_um``, ``height_high_um`` ...: 2.5 and 97.5 percentiles of points relative to the soma, x and depth
    tangential, height towards the pia, with ``height_min_um`` and ``height_max_um``; ``lateral_um`` is the mean of the
    four tangential ones, whatever their sign. Under "soma": ``diameter_um``.
    """
    children, path = morphology.children(), morphology.path_lengths()
    order = _branch_orders(morphology, children)
    statistics = {"soma": {"diameter_um": float(morphology.sections[0].diameters.max())}}
    for kind in (AXON, BASAL, APICAL):
        numbers = morphology.sections_of(kind)
        if numbers:
            statistics[kind] = _of_kind(morphology, numbers, children, path, order)
    return statistics


def _branch_orders(morphology: Morphology, children: list[list[int]]) -> np.ndarray:
    order = np.zeros(len(morphology.sections), dtype=int)
    for i, section in enumerate(morphology.sections[1:], start=1):
        order[i] = 0 if section.parent == 0 else order[section.parent] + 1
    return order


def _of_kind(
    morphology: Morphology, numbers: list[int], children: list[list[int]], path: np.ndarray, order: np.ndarray
) -> dict[str, float]:
    sections = [morphology.sections[i] for i in numbers]
    lengths = np.array([section.length for section in sections])
    chords = np.array([np.linalg.norm(section.points[-1] - section.points[0]) for section in sections])
    ends = np.array([not children[i] for i in numbers])
    stems = np.array([morphology.sections[i].parent == 0 for i in numbers])
    points = np.concatenate([section.points for section in sections])
    diameters = np.concatenate([section.diameters for section in sections])
    depth = np.stack([points[:, 0], points[:, 2], -points[:, 1]])
    low, high = np.percentile(depth, (2.5, 97.5), axis=1)
    values: dict[str, float] = {
        "stems": int(stems.sum()),
        "sections": len(numbers),
        "terminals": int(ends.sum()),
        "total_um": lengths.sum(),
        "order_median": np.median(order[numbers]),
        "order_max": order[numbers].max(),
        "stem_diameter_um": np.mean(
            [section.diameters[0] for section, stem in zip(sections, stems, strict=True) if stem]
        ),
        "height_min_um": points[:, 2].min(),
        "height_max_um": points[:, 2].max(),
    }
    _add_quantiles(values, "inner", lengths[~ends], "q", (25, 50, 75), "_um")
    _add_quantiles(values, "terminal", lengths[ends], "q", (25, 50, 75), "_um")
    _add_quantiles(values, "path", path[numbers][ends], "p", (10, 50, 90), "_um")
    _add_quantiles(values, "diameter", diameters, "p", (5, 25, 50, 75, 95), "_um")
    _add_quantiles(values, "straightness", chords / lengths, "p", (10, 50, 90), "")
    _add_quantiles(values, "angle", _angles(morphology, numbers, children), "q", (25, 50, 75), "_deg")
    for name, bottom, top in zip(("x", "height", "depth"), low, high, strict=True):
        values[f"{name}_low_um"], values[f"{name}_high_um"] = bottom, top
    values["lateral_um"] = np.mean(
        [abs(values[f"{name}_{end}_um"]) for name in ("x", "depth") for end in ("low", "high")]
    )
    return {name: float(value) for name, value in values.items()}


def _add_quantiles(
    values: dict[str, float], name: str, sample: np.ndarray, letter: str, percentiles: tuple[int, ...], unit: str
) -> None:
    found = np.percentile(sample, percentiles) if len(sample) else np.full(len(percentiles), np.nan)
    values.update({f"{name}_{letter}{p}{unit}": q for p, q in zip(percentiles, found, strict=True)})


def _angles(morphology: Morphology, numbers: list[int], children: list[list[int]]) -> np.ndarray:
    """Angles between daughters, degrees; at a branching into three, of each pair of neighbours in the file."""
    angles = []
    for i in numbers:
        directions = [_first_direction(morphology.sections[child].points) for child in children[i]]
        for one, other in pairwise(directions):
            angles.append(np.degrees(np.arccos(np.clip(one @ other, -1.0, 1.0))))
    return np.array(angles)


def _first_direction(points: np.ndarray) -> np.ndarray:
    path = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    reach = min(_ANGLE_REACH_um, path[-1])
    end = np.array([np.interp(reach, path, points[:, axis]) for axis in range(3)])
    step = end - points[0]
    return step / max(float(np.linalg.norm(step)), 1e-12)
