"""The axon study's result files with made-up but plausible numbers: input for the tests of figures and page."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

OUTPUTS = ("microtubule_strain", "axolemma_strain", "tau_failed", "neurofilament_failed")
MEANS = tuple(f"{name}_mean" for name in OUTPUTS)
TARGETS = (*OUTPUTS, *MEANS, *(f"{name}_spread" for name in OUTPUTS))
TRACTS = ("Corpus callosum", "Superior longitudinal fasciculus", "Cingulum", "Corticospinal tract", "Fornix")
EDGES = (0.0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, None)


def _scores(*r2: float) -> dict[str, dict[str, float]]:
    return {t: {"r2": v, "nrmse": 0.28 * (1 - v) ** 0.5} for t, v in zip(OUTPUTS, r2, strict=True)}


def noise_floor() -> dict[str, Any]:
    targets = {t: {"r2": 0.9995, "nrmse": 0.004} for t in TARGETS}
    worst = {t: {"r2": 0.998, "nrmse": 0.006} for t in TARGETS}
    worst["microtubule_strain"] = {"r2": 0.941, "nrmse": 0.052}
    return {"study": "axon", "profiles": 200, "scale": 0.005, "targets": targets, "worst_case": worst}


def cost() -> dict[str, Any]:
    return {
        "impact": "impact 018", "n": 92439, "computed": 92439, "ranks": 2, "wall_s": 2212.4, "cpu_s": 4391.0,
        "cpu_s_per_case": 0.0475, "peak_strain": 0.348,
    }  # fmt: skip


def deployment() -> dict[str, Any]:
    return {
        "n": 92439, "seconds": 1.62, "seconds_two_threads": 0.94, "threads": 1, "device": "cpu", "impact": "impact 018",
        "flagged_share": 0.004, "seconds_per_case_direct": 0.0475, "direct_wall_s": 2212.4, "direct_ranks": 2,
        "direct_n": 92439,
    }  # fmt: skip


def white_matter_errors() -> dict[str, Any]:
    def whole(shift: float) -> dict[str, Any]:
        return {
            t: {**e, "mape": 0.07, "pearson_r": 0.99, "bias": -0.0004, "coverage90": 0.903}
            for t, e in _scores(0.952 - shift, 0.991 - shift, 0.984 - shift, 0.979 - shift).items()
        }

    bins = []
    for k, (low, high) in enumerate(pairwise(EDGES)):
        middle = low + 0.5 * ((high or 0.3) - low)
        errors = {
            t: {
                "rmse": 0.02 * middle**0.5 * (1 + 0.3 * c), "bias": 0.002 * np.sin(k + c), "nrmse": 0.05 * middle**0.5,
                "mean_direct": min(0.9, (1.6 - 0.2 * c) * middle),
                "mean_surrogate": min(0.9, (1.62 - 0.2 * c) * middle),
            }
            for c, t in enumerate(OUTPUTS)
        }  # fmt: skip
        bins.append({"low": low, "high": high, "n": int(30000 * np.exp(-12 * middle)), "targets": errors})

    def tract(name: str, n: int, k: int) -> dict[str, Any]:
        errors = {
            t: {
                "r2": 0.98 - 0.01 * k, "rmse": 0.01, "nrmse": 0.015 + 0.004 * k + 0.002 * c, "bias": 0.001 * (k - 2),
                "mean_direct": 0.1, "mean_surrogate": 0.101,
            }
            for c, t in enumerate(OUTPUTS)
        }  # fmt: skip
        return {"tract": name, "n": n, "targets": errors}

    tracts = [tract(name, 12000 // (k + 1), k) for k, name in enumerate(TRACTS)]
    return {
        "study": "axon", "impact": "impact 018", "n": 92439, "failed": 0, "elements": 16545, "targets": whole(0.0),
        "covered": {"n": 63074, "targets": whole(-0.002)}, "filled": {"n": 29365, "targets": whole(0.006)},
        "by_strain": bins, "by_tract": [*tracts, tract("no streamlines (filled)", 29365, 5)],
        "by_element": {"n": 16545, "targets": _scores(0.97, 0.994, 0.99, 0.986)},
        "flagged": {"share": 0.004, "targets": _scores(0.9, 0.96, 0.95, 0.93)},
    }  # fmt: skip


def sensitivity() -> dict[str, Any]:
    mean = dict(zip(MEANS, (0.031, 0.084, 0.143, 0.097), strict=True))

    def variant(name: str, key: str, value: float, change: float, r2: float) -> dict[str, Any]:
        return {
            "name": name, "key": key, "value": value, "p50": 0.0323 * (1 + change), "p95": 0.1017 * (1 + change),
            "p95_change": change, "r2": r2, "nrmse": 0.2 * (1 - r2) ** 0.5, "rms_history": (1 - r2) ** 0.5,
            "mean": {t: v * (1 + 1.4 * change) for t, v in mean.items()}, "elements": 16545, "diverged": None,
        }  # fmt: skip

    return {
        "study": "axon", "impact": "impact 018", "reproduced": True,
        "reference": {"p50": 0.0323, "p95": 0.1017, "max": 0.348, "mean": mean},
        "variants": [
            variant("elements of 3 mm", "head.element_mm", 3.0, 0.034, 0.961),
            variant("hourglass coefficient halved", "tissue.hourglass_coefficient", 0.05, 0.021, 0.993),
            variant("hourglass coefficient doubled", "tissue.hourglass_coefficient", 0.2, -0.024, 0.991),
            variant("bulk modulus / 4", "tissue.bulk_modulus_MPa", 0.5475, 0.048, 0.982),
            variant("bulk modulus x 4", "tissue.bulk_modulus_MPa", 8.76, -0.013, 0.996),
            variant("head scale 0.90", "head.scale", 0.9, -0.082, 0.985),
            variant("head scale 1.00", "head.scale", 1.0, 0.127, 0.958),
            variant("time step halved", "tissue.courant", 0.25, 0.0006, 0.99998),
        ],
    }  # fmt: skip


def rate_dependence() -> dict[str, Any]:
    return {
        "rate_per_s": [1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 60.0],
        "peak_strain": 0.05,
        "outputs": {
            "elongation": [[0.071 + 0.001 * k, 0.24 - 0.01 * k, 0.46 - 0.04 * k, 0.49 - 0.06 * k] for k in range(7)],
            "bell": [[0.063 + 0.002 * k, 0.19 + 0.006 * k, 0.33 + 0.015 * k, 0.42 + 0.012 * k] for k in range(7)],
        },
    }


def criteria() -> dict[str, Any]:
    def one(shift: float, saturated: float, sign: int) -> dict[str, Any]:
        r2 = [0.95 - shift, 0.985 - shift, 0.98 - 2 * shift, 0.972 - shift]
        means = {f"{t}_mean": dict(e, r2=e["r2"] + 0.01) for t, e in _scores(*r2).items()}
        spreads = {f"{t}_spread": dict(e, r2=e["r2"] - 0.2) for t, e in _scores(*r2).items()}
        targets = {**_scores(*r2), **means, **spreads}
        return {
            "targets": {t: {**e, "coverage90": 0.9} for t, e in targets.items()},
            "worst_case": {t: {**e, "r2": e["r2"] - 0.03} for t, e in targets.items()},
            "baselines": {
                name: {t: {"r2": e["r2"] - less, "nrmse": e["nrmse"] + 0.02} for t, e in targets.items()}
                for name, less in (("peak_strain", 0.1), ("gradient_boosting", 0.02))
            },
            "saturated": saturated,
            "largest_tau_failed": 0.6,
            "rate": {
                "peak_strain": 0.05,
                "lowest_per_s": 1.0,
                "highest_per_s": 60.0,
                "outputs": {t: {"slope_s": sign * 1e-3, "sign": sign, "monotone": True} for t in OUTPUTS},
            },
        }

    return {
        "study": "axon", "n_train": 1000, "n_heldout": 1000, "n_worst_case": 75, "headline": "elongation",
        "criteria": {"elongation": one(0.0, 0.012, -1), "bell": one(0.02, 0.21, 1)},
    }  # fmt: skip


def sampling_comparison() -> dict[str, Any]:
    sizes = [125, 250, 500, 1000, 2000]
    ways: dict[str, Any] = {}
    for k, way in enumerate(("mixed", "stratified_adaptive", "random", "kmeans", "active")):
        ways[way] = [
            {
                "n": n,
                **{
                    name: {
                        t: {"r2": 1 - 12 / n * (1 + 0.2 * k), "nrmse": (0.4 + 0.05 * k + 0.1 * s + 0.1 * c) / n**0.4}
                        for c, t in enumerate(OUTPUTS)
                    }
                    for s, name in enumerate(("random", "worst_case", "white_matter"))
                },
            }
            for n in sizes
        ]
    needed = {
        name: {t: {"mixed": 1410, "stratified_adaptive": 1650, "random": 2000, "kmeans": 1820, "active": None}
               for t in OUTPUTS}
        for name in ("random", "worst_case", "white_matter")
    }  # fmt: skip
    return {"study": "axon", "sizes": sizes, "members": 3, "ways": ways, "profiles_for_same_error": needed}


def sex_comparison() -> dict[str, Any]:
    def quantiles(middle: float) -> dict[str, float]:
        return {f"p{q}": middle * (1 + 0.01 * (q - 50)) for q in (5, 25, 50, 75, 95)}

    heldout = {sex: {t: {"r2": 0.97, "nrmse": 0.03, "coverage90": 0.9} for t in TARGETS} for sex in ("male", "female")}
    impacts = [
        {
            "impact": f"impact {number:03d}", "peak_velocity": velocity,
            "mean": {
                "male": {t: 0.004 * velocity * (1 + k) for k, t in enumerate(MEANS)},
                "female": {t: 0.0045 * velocity * (1 + k) for k, t in enumerate(MEANS)},
            },
            "share_female_worse": {t: 0.6 + 0.08 * k for k, t in enumerate(MEANS)},
        }
        for number, velocity in ((18, 12.4), (20, 7.5), (22, 10.0), (32, 20.7), (40, 5.1))
    ]  # fmt: skip
    tracts = [
        {
            "tract": name, "n": 12000 // (k + 1),
            "male": {t: quantiles(0.05 * (c + 1) + 0.01 * k) for c, t in enumerate(MEANS)},
            "female": {t: quantiles(0.06 * (c + 1) + 0.01 * k) for c, t in enumerate(MEANS)},
        }
        for k, name in enumerate(TRACTS)
    ]  # fmt: skip
    paired = {t: {"truth_mean": 0.012, "predicted_mean": 0.0125, "r2": 0.83} for t in TARGETS}
    return {
        "study": "axon", "impact": "impact 018", "own_sex": "male", "n_train": 3000, "n_heldout": 1000,
        "heldout": heldout, "paired_difference": paired,
        "impacts": impacts, "by_tract": tracts,
    }  # fmt: skip
