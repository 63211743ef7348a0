"""A whole run folder as the report finds it, with made-up but plausible numbers: input for the report's tests."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
from matplotlib.figure import Figure

from understudy.surrogate.comparison import judge_coverage, paired_difference, resampled_weights
from understudy.surrogate.metrics import coverage, target_metrics

KINDS = ("microtubule_strain", "axolemma_strain", "tau_failed", "neurofilament_failed")
TARGETS = (*KINDS, *(f"{name}_mean" for name in KINDS), *(f"{name}_spread" for name in KINDS))
BASELINES = ("peak_strain", "gradient_boosting", "gaussian_process")
LABELS = {
    "microtubule_strain": "Peak microtubule strain",
    "axolemma_strain": "Peak axolemma strain",
    "tau_failed": "Tau links failed",
    "neurofilament_failed": "Side-arms failed",
}


def _truth(n: int, generator: np.random.Generator) -> np.ndarray:
    peak = generator.gamma(3.0, 0.02, n)
    shape = generator.normal(1.0, 0.15, (n, len(KINDS)))
    values = peak[:, None] * np.array([1.8, 3.5, 2.0, 1.2]) * shape
    values[:, 2:] = np.clip(values[:, 2:] - 0.06, 0, 0.9)
    return np.concatenate([values, values * 0.97, 0.2 * values + 0.002], axis=1)


def _noisy(truth: np.ndarray, share: float, generator: np.random.Generator) -> np.ndarray:
    return truth + share * truth.std(axis=0) * generator.standard_normal(truth.shape)


def _write_attributes(file: h5py.File) -> None:
    file.attrs["study"] = "axon"
    file.attrs["target_names"] = np.array([name.encode() for name in TARGETS])
    file.attrs["target_units"] = np.array([b"1"] * len(TARGETS))


def _predictions(path: Path, generator: np.random.Generator) -> dict:
    n_random, n_worst = 1000, 75
    n = n_random + n_worst
    truth = _truth(n, generator)
    group = generator.integers(20, 25, n)
    subset = np.array(["random"] * n_random + ["worst_case"] * n_worst)
    mean = _noisy(truth, 0.12, generator)
    baselines = {name: _noisy(truth, s, generator) for name, s in zip(BASELINES, (0.3, 0.12, 0.16), strict=True)}
    # One output on which a baseline is far better, so that every verdict appears.
    baselines["gradient_boosting"][:, 3] = _noisy(truth, 0.03, generator)[:, 3]
    width = 1.645 * 0.12 * truth.std(axis=0) * np.linspace(1.0, 0.8, len(TARGETS))
    lower, upper = mean - width, mean + width
    flagged = generator.random(n) < 0.03
    with h5py.File(path, "w") as file:
        _write_attributes(file)
        held = file.create_group("heldout")
        held["case"], held["group"] = np.arange(n), group
        held["subset"] = subset.astype("S")
        for name, values in (("truth", truth), ("mean", mean), ("lower", lower), ("upper", upper)):
            held[name] = values
        held["novelty"], held["flagged"] = generator.random(n), flagged
        for name, values in baselines.items():
            held[f"baselines/{name}/mean"] = values
    random = subset == "random"
    weights = resampled_weights(group[random], 200, generator)
    subsets = {}
    for name in ("random", "worst_case"):
        rows = subset == name
        subsets[name] = {
            "n": int(rows.sum()),
            "groups": len(np.unique(group[rows])),
            "targets": {
                target: {
                    **target_metrics(truth[rows, t], mean[rows, t]),
                    "unit": "1",
                    "coverage90": coverage(truth[rows, t], lower[rows, t], upper[rows, t]),
                    "interval_width": float((upper - lower)[rows, t].mean()),
                }
                for t, target in enumerate(TARGETS)
            },
        }
    inside = (truth >= lower) & (truth <= upper)
    return {
        "n_train": 500,
        "n_heldout": n,
        "targets": subsets["random"]["targets"],
        "subsets": subsets,
        "baselines": {
            name: {target: target_metrics(truth[random, t], values[random, t]) for t, target in enumerate(TARGETS)}
            for name, values in baselines.items()
        },
        "paired": {
            name: {
                target: paired_difference(truth[random, t], mean[random, t], values[random, t], group[random], weights)
                for t, target in enumerate(TARGETS)
            }
            for name, values in baselines.items()
        },
        "coverage_judgement": {
            target: judge_coverage(inside[random, t], group[random], weights, 0.9) for t, target in enumerate(TARGETS)
        },
        "baseline_intervals": {
            "gaussian_process": {target: {"coverage": 0.913, "width": 0.0421} for target in TARGETS}
        },
        "noise_floor": {
            target: target_metrics(truth[:, t], _noisy(truth, 0.14 if t % 4 == 0 else 0.02, generator)[:, t])
            for t, target in enumerate(TARGETS)
        },
    }


def _cross_validation(path: Path, generator: np.random.Generator) -> dict:
    n, scores = 500, {}
    truth = _truth(n, generator)
    with h5py.File(path, "w") as file:
        _write_attributes(file)
        for kind, share in (("random", 0.12), ("grouped", 0.18)):
            mean = _noisy(truth, share, generator)
            for name, values in (
                ("case", np.arange(n)),
                ("group", np.arange(n) % 18),
                ("fold", np.arange(n) % 5),
                ("truth", truth),
                ("mean", mean),
            ):
                file[f"{kind}/{name}"] = values
            scores[kind] = {target: target_metrics(truth[:, t], mean[:, t]) for t, target in enumerate(TARGETS)}
    return scores


def _learning_curve() -> dict:
    def points(best: float, head_start: float) -> list[dict]:
        return [
            {
                "n": n,
                "groups": 18,
                "r2": {t: best - 3.0 / n / head_start * (1 + 0.2 * (k % 4)) for k, t in enumerate(TARGETS)},
            }
            for n in (50, 100, 200, 300, 500)
        ]

    baselines = {name: points(best, 2.0) for name, best in zip(BASELINES, (0.91, 0.97, 0.96), strict=True)}
    return {"study": "axon", "subset": "random", "learning_curve": points(0.985, 1.0), "baselines": baselines}


def _presentation(folder: Path) -> dict:
    folder.mkdir(parents=True)
    for name in ("pulses.png", "injury_map.png", "lead.png", "tracts.png"):
        figure = Figure(figsize=(4, 2))
        figure.add_subplot().plot([0, 1, 0])
        figure.savefig(folder / name)
    titles = ("Reference gap layout (as published)", "Mean over gap layouts", "Spread over gap layouts")
    return {
        "title": "Axonal injury under head impacts",
        "question": "How much of an axonal injury model can a network learn from fibre strain histories?",
        "what_was_run": [["Scale", "demonstration"], ["Impacts", "18 training, 6 calibration, 5 held out (synthetic)"]],
        "published": {target: {"r2": [0.91, 0.98], "nrmse": [0.027, 0.05]} for target in KINDS},
        "published_point": {"n": 2000, "r2": 0.90},
        "labels": {f"{name}{ending}": label for name, label in LABELS.items() for ending in ("", "_mean", "_spread")},
        "target_groups": [
            {"title": title, "targets": list(TARGETS[4 * k : 4 * k + 4]), "headline": k < 2}
            for k, title in enumerate(titles)
        ],
        "figures": [
            {
                "file": "pulses.png",
                "title": "Impacts",
                "caption": "Angular velocity of the pulses.",
                "section": "simulation",
            },
            {"file": "injury_map.png", "title": "Injury map", "caption": "One held-out impact.", "section": "use"},
        ],
        "lead": {"file": "lead.png", "title": "Twice the same", "caption": "Direct, surrogate, difference."},
        "in_short": ["Not reached, although asked at least: R² on the worst case (tau 0.91)."],
        "goals": [{
            "quantity": "R²", "reached": "missed",
            "measured": [{"output": "tau_failed", "value": 0.91, "reached": "missed"}],
        }],
        "cost_groups": [
            {"title": "Injury model", "rules": ["simulate_axons"]}, {"title": "Never timed", "rules": ["none"]},
        ],
        "sections": [
            {
                "id": "goals", "slot": "headline", "title": "What was asked", "text": ["Asked & measured."],
                "table": {
                    "columns": ["Quantity", {"title": "Goal", "numeric": True}, "Tau", "Reached"],
                    "rows": [
                        {"part": "Worst case"},
                        ["R²", 0.99, {"text": "0.91", "note": "floor 0.95", "mark": "worse"}, None],
                        ["Time", "1 s", {"text": "0.9 s", "span": 2, "mark": "better"}],
                    ],
                    "caption": "Floor: of the simulation.",
                },
            },
            {
                "id": "tracts", "slot": "worth", "title": "Error by tract", "text": ["First.", "Second <b>."],
                "table": None,
                "figures": [{"file": "tracts.png", "title": "By tract", "caption": "Sorted.", "alt": "Bars by tract."}],
            },
        ],
        "limits": ["The published model is not public: this one was rebuilt from published facts."],
        "notes": ["The fibre field is synthetic: made from the anatomy alone, not measured."],
    }  # fmt: skip


def write_run(folder: Path) -> dict:
    """Write the run folder; returns the metrics."""
    generator = np.random.default_rng(7)
    surrogate = folder / "axon" / "surrogate"
    surrogate.mkdir(parents=True)
    metrics = _predictions(surrogate / "predictions.h5", generator)
    metrics["cross_validation"] = _cross_validation(surrogate / "cross_validation.h5", generator)
    files = {
        "axon/surrogate/metrics.json": metrics,
        "axon/surrogate/learning_curve.json": _learning_curve(),
        "axon/verification.json": {
            "checks": [
                {"name": "Rigid rotation without strain", "value": 3.1e-12, "expected": 0.0, "tolerance": 1e-10,
                 "passed": True, "source": "closed form"},
                {"name": "Long microtubules strain more", "value": 0.8, "expected": "above 1", "tolerance": "sign",
                 "passed": False, "source": "Ahmadzadeh 2015"},
            ]
        },
        "axon/deployment.json": {
            "n": 13234, "seconds": 1.9, "seconds_two_threads": 1.1, "seconds_per_case_direct": 0.31, "threads": 1,
            "device": "cpu", "impact": "held-out impact 21", "direct_n": 100, "direct_wall_s": 15.5, "direct_ranks": 2,
        },
        "axon/figures/presentation.json": _presentation(folder / "axon" / "figures"),
    }  # fmt: skip
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    benchmarks = folder / "benchmarks"
    benchmarks.mkdir()
    head = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
    (benchmarks / "axon.simulate_axons.tsv").write_text(head + "120.5\t0:02:00\t812.4\t1\t1\t1\t0\t0\t190\t230.1\n")
    (benchmarks / "judge_results.tsv").write_text(head + "0.4\t0:00:00\tNA\tNA\tNA\tNA\tNA\tNA\tNA\tNA\n")
    return metrics


AUDIT = {
    "passed": True,
    "files": 24,
    "findings": [
        {
            "severity": "note",
            "kind": "uncommitted_code",
            "file": "axon/ground_truth.h5",
            "message": "uncommitted <code>",
        },
        {"severity": "warning", "kind": "unclaimed_file", "file": "axon/notes.txt", "message": "no job made it"},
    ],
}
