"""What cortical neurons look like in numbers: medians over reconstructed cells, and ranges for generated cells.

Measured on five reconstructions of each type (rat, somatosensory cortex, not scaled): medians over the cells. Ranges of
the counts of sections and terminals and of the total length are the lowest and highest of the five cells (found). For
all else only medians were measured; the ranges around them are estimates, set while the generator was built and before
any threshold of a generated cell was computed.
"""

from __future__ import annotations

from collections.abc import Sequence

from understudy.tms.morphology import APICAL, AXON, BASAL, Morphology
from understudy.tms.morphology_statistics import measured_statistics

SOMA_DIAMETERS_um = {
    "L23_PC": (14.5, 14.5, 14.2, 14.2, 13.9),
    "L4_LBC": (19.9, 17.8, 17.3, 16.1, 17.4),
    "L5_TTPC": (23.5, 27.5, 27.5, 27.5, 27.5),
}
"""Of each of the five cells (found)."""

# Counts and total length: (median, lowest, highest). Quantiles as named in `measured_statistics`; extents are 2.5 and
# 97.5 percentiles of points and, for height, the lowest and highest point.
_MEDIANS = {
    "L23_PC": {
        AXON: {
            "stems": 1,
            "sections": (55, 37, 121),
            "terminals": (28, 19, 61),
            "total_um": (8912, 4809, 16316),
            "inner": (30, 63, 163),
            "terminal": (30, 73.3, 184),
            "order": (6, 10),
            "path": (375, 658, 1180),
            "diameter": (0.15, 0.323, 0.33, 0.33, 0.632),
            "stem_diameter_um": 0.71,
            "straightness": (0.956, 0.992, 1.0),
            "angle": (55.3, 71.8, 92.9),
            "x": (-699, 503),
            "height": (-1040, 241, -1170, 347),
            "depth": (-256, 497),
        },
        BASAL: {
            "stems": 6,
            "sections": (66, 16, 80),
            "terminals": (35, 11, 43),
            "total_um": (3887, 1362, 5317),
            "inner": (11.7, 26.3, 37.4),
            "terminal": (61.7, 91.4, 125),
            "order": (2, 4),
            "path": (114, 173, 220),
            "diameter": (0.491, 0.589, 0.66, 0.827, 1.33),
            "stem_diameter_um": 1.21,
            "straightness": (0.952, 0.988, 1.0),
            "angle": (23.4, 45.2, 78.9),
            "x": (-138, 144),
            "height": (-121, 70.5, -154, 121),
            "depth": (-76.7, 80.8),
        },
        APICAL: {
            "stems": 1,
            "sections": (27, 23, 63),
            "terminals": (14, 12, 32),
            "total_um": (2181, 1713, 4172),
            "inner": (21.1, 40.3, 80.0),
            "terminal": (9.52, 52, 98.8),
            "order": (4, 7),
            "path": (176, 319, 459),
            "diameter": (0.492, 0.585, 0.66, 0.692, 1.38),
            "stem_diameter_um": 2.21,
            "straightness": (0.957, 0.981, 0.999),
            "angle": (35.6, 52.6, 78.2),
            "x": (-93.8, 88.4),
            "height": (24.7, 364, 5, 403),
            "depth": (-96.2, 95.8),
        },
    },
    "L4_LBC": {
        AXON: {
            "stems": 1,
            "sections": (454, 389, 943),
            "terminals": (227, 195, 470),
            "total_um": (30300, 19068, 54932),
            "inner": (13.5, 31.2, 57.8),
            "terminal": (19.1, 52.9, 97.6),
            "order": (10, 19),
            "path": (267, 394, 720),
            "diameter": (0.28, 0.28, 0.28, 0.33, 0.33),
            "stem_diameter_um": 0.75,
            "straightness": (0.969, 0.998, 1.0),
            "angle": (47.6, 65.7, 85.0),
            "x": (-282, 236),
            "height": (-426, 252, -644, 377),
            "depth": (-221, 241),
        },
        BASAL: {
            "stems": 7,
            "sections": (62, 34, 105),
            "terminals": (35, 20, 56),
            "total_um": (5014, 3247, 7365),
            "inner": (12.3, 27.6, 86.4),
            "terminal": (45.2, 83.3, 116),
            "order": (2, 6),
            "path": (144, 236, 358),
            "diameter": (0.455, 0.55, 0.644, 0.823, 1.84),
            "stem_diameter_um": 1.50,
            "straightness": (0.926, 0.979, 1.0),
            "angle": (33.9, 62.1, 80.4),
            "x": (-150, 137),
            "height": (-343, 162, -370, 203),
            "depth": (-181, 85.4),
        },
    },
    "L5_TTPC": {
        AXON: {
            "stems": 1,
            "sections": (160, 127, 204),
            "terminals": (81, 64, 103),
            "total_um": (18918, 12758, 23356),
            "inner": (20.2, 52.4, 124),
            "terminal": (38.5, 79.3, 153),
            "order": (6, 12),
            "path": (356, 581, 1040),
            "diameter": (0.23, 0.3, 0.46, 0.46, 0.588),
            "stem_diameter_um": 1.85,
            "straightness": (0.935, 0.988, 1.0),
            "angle": (54.3, 65.5, 84.5),
            "x": (-407, 575),
            "height": (-679, 296, -819, 482),
            "depth": (-165, 525),
        },
        BASAL: {
            "stems": 8,
            "sections": (96, 80, 96),
            "terminals": (52, 46, 52),
            "total_um": (6783, 6269, 6900),
            "inner": (10.7, 18.3, 51.9),
            "terminal": (50.8, 107, 140),
            "order": (2, 5),
            "path": (124, 177, 224),
            "diameter": (0.69, 0.749, 0.915, 1.09, 1.61),
            "stem_diameter_um": 1.80,
            "straightness": (0.906, 0.972, 0.999),
            "angle": (38.7, 52.3, 68.5),
            "x": (-114, 161),
            "height": (-171, 86.6, -235, 152),
            "depth": (-141, 34.2),
        },
        APICAL: {
            "stems": 1,
            "sections": (93, 93, 132),
            "terminals": (47, 47, 68),
            "total_um": (8563, 8336, 11885),
            "inner": (25.2, 51.1, 74.4),
            "terminal": (28.2, 110, 153),
            "order": (11, 20),
            "path": (253, 472, 1170),
            "diameter": (0.69, 0.807, 0.92, 1.18, 2.52),
            "stem_diameter_um": 3.76,
            "straightness": (0.882, 0.98, 1.0),
            "angle": (28.3, 47.9, 64.7),
            "x": (-118, 165),
            "height": (45.5, 1120, -42, 1148),
            "depth": (-107, 49.4),
        },
    },
}

_QUARTILES, _DECILES, _FIVE = ("q25", "q50", "q75"), ("p10", "p50", "p90"), ("p5", "p25", "p50", "p75", "p95")
# name: (endings, unit, relative and absolute tolerance around the median of the five cells); estimates.
_QUANTILES = {
    "inner": (_QUARTILES, "_um", 0.45, 8.0),
    "terminal": (_QUARTILES, "_um", 0.45, 8.0),
    "path": (_DECILES, "_um", 0.3, 20.0),
    "diameter": (_FIVE, "_um", 0.25, 0.03),
    "straightness": (_DECILES, "", 0.0, 0.045),
    "angle": (_QUARTILES, "_deg", 0.25, 8.0),
}
_EXTENT_TOLERANCE = {AXON: (0.5, 100.0), BASAL: (0.35, 60.0), APICAL: (0.35, 60.0)}
_ORDER_TOLERANCE = (0.35, 1.0)


def _ranges(kind: str, medians: dict) -> dict[str, tuple[float, float, float]]:
    """Median, lowest and highest accepted value of each statistic."""
    ranges = {name: tuple(map(float, medians[name])) for name in ("sections", "terminals", "total_um")}
    stems = float(medians["stems"])
    spare = 1.0 if kind == BASAL else 0.0
    ranges["stems"] = (stems, stems - spare, stems + spare)
    for name, (endings, unit, relative, absolute) in _QUANTILES.items():
        for ending, value in zip(endings, medians[name], strict=True):
            ranges[f"{name}_{ending}{unit}"] = _around(value, relative, absolute)
    for ending, value in zip(("median", "max"), medians["order"], strict=True):
        ranges[f"order_{ending}"] = _around(value, *_ORDER_TOLERANCE)
    ranges["stem_diameter_um"] = _around(medians["stem_diameter_um"], 0.3, 0.05)
    for ending, value in zip(("low", "high", "min", "max"), medians["height"], strict=True):
        ranges[f"height_{ending}_um"] = _around(value, *_EXTENT_TOLERANCE[kind])
    # Cells are turned about the vertical at random: only the mean of the four tangential extents has a meaning.
    lateral = [abs(value) for value in (*medians["x"], *medians["depth"])]
    ranges["lateral_um"] = _around(sum(lateral) / len(lateral), *_EXTENT_TOLERANCE[kind])
    return ranges


def _around(value: float, relative: float, absolute: float) -> tuple[float, float, float]:
    spread = max(relative * abs(value), absolute)
    return float(value), value - spread, value + spread


TARGET_STATISTICS = {
    cell_type: {kind: _ranges(kind, medians) for kind, medians in kinds.items()}
    for cell_type, kinds in _MEDIANS.items()
}
"""By cell type, kind and statistic of `measured_statistics`: (median of reconstructions, lowest, highest accepted)."""


def outside_targets(morphology: Morphology, cell_type: str, kinds: Sequence[str] | None = None) -> list[str]:
    """Statistics of a cell that leave the ranges of its type: "axon path_p50_um 912 (436 to 726)" and so on.

    ``kinds`` restricts the question to some arbours; all that the type has, by default.
    """
    measured = measured_statistics(morphology)
    misses = []
    for kind in kinds or TARGET_STATISTICS[cell_type]:
        ranges = TARGET_STATISTICS[cell_type][kind]
        if kind not in measured:
            misses.append(f"{kind} absent")
            continue
        for name, (_, low, high) in ranges.items():
            value = measured[kind][name]
            if not low <= value <= high:
                misses.append(f"{kind} {name} {value:.4g} ({low:.4g} to {high:.4g})")
    return misses
