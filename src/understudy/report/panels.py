"""A study's results as pictures for the page: picks the arrays, draws, embeds, and says in words what is shown."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image, UnidentifiedImageError

from understudy.errors import InputError
from understudy.report import figures, verdicts
from understudy.report.numbers import ends, is_number, percent, score
from understudy.report.results import StudyResults, TargetGroup, words
from understudy.report.style import webp_bytes
from understudy.surrogate.metrics import r2

NOMINAL_COVERAGE = 0.9
COVERAGE_TOLERANCE = 0.02


@dataclass(frozen=True)
class Picture:
    """An embedded picture with its text alternative."""

    uri: str
    alt: str


def _embedded(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def drawn(figure: Figure, alt: str) -> Picture:
    """A figure as a picture."""
    return Picture(_embedded("image/webp", webp_bytes(figure)), alt)


_KINDS = {".svg": "image/svg+xml", ".jpg": "image/jpeg", ".jpeg": "image/jpeg"}


def from_file(path: Path, alt: str) -> Picture:
    """A picture from a file; a PNG is packed tighter, without loss.

    Raises
    ------
    InputError
        If the file is missing, no picture, or of another kind than PNG, SVG or JPEG.
    """
    if path.suffix not in (".png", *_KINDS):
        raise InputError(f"{path}: found the ending {path.suffix!r}; accepted are .png, {', '.join(_KINDS)}")
    try:
        if path.suffix != ".png":
            return Picture(_embedded(_KINDS[path.suffix], path.read_bytes()), alt)
        with Image.open(path) as image:
            return Picture(_embedded("image/webp", webp_bytes(image)), alt)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file, but presentation.json names it") from None
    except UnidentifiedImageError:
        raise InputError(f"{path}: found no PNG picture; accepted is what its ending says") from None


def _labels(results: StudyResults, group: TargetGroup) -> list[str]:
    return [results.label(target) for target in group.targets]


def _values(entries: Mapping[str, Any], group: TargetGroup, key: str) -> list[float]:
    values = (entries.get(target, {}).get(key) for target in group.targets)
    return [value if is_number(value) else float("nan") for value in values]


def scatter_pictures(results: StudyResults, group: TargetGroup) -> list[Picture]:
    """Predicted against simulated, one picture per target."""
    worst = results.heldout.subset != "random"
    pictures = []
    for target in group.targets:
        column, errors = results.column(target), results.metrics["targets"][target]
        label = results.label(target)
        truth, mean = results.heldout.truth[:, column], results.heldout.mean[:, column]
        note = f"R² {score(errors['r2'])}\nNRMSE {percent(errors['nrmse'])}"
        alt = (
            f"{label}, {group.title}: predicted against simulated values of {truth.size} held-out cases with the "
            f"identity line; R² {score(errors['r2'])}, NRMSE {percent(errors['nrmse'])} on the random ones."
        )
        figure = figures.predicted_against_true(truth, mean, worst, label, results.unit(target), note)
        pictures.append(drawn(figure, alt))
    return pictures


def error_picture(results: StudyResults, group: TargetGroup) -> Picture:
    """NRMSE of network, baselines, noise floor and published range."""
    published = results.presentation.get("published", {})
    baselines = {
        results.baseline_label(name): _values(results.metrics["baselines"][name], group, "nrmse")
        for name in results.baselines
    }
    network = _values(results.metrics["targets"], group, "nrmse")
    floor = _values(results.metrics["noise_floor"], group, "nrmse")
    figure = figures.error_levels(
        _labels(results, group),
        network,
        baselines,
        floor,
        [ends(published.get(target, {}).get("nrmse")) for target in group.targets],
    )
    listed = ", ".join(f"{results.label(t)} {percent(v)}" for t, v in zip(group.targets, network, strict=True))
    return drawn(figure, f"{group.title}: NRMSE of the network ({listed}) beside the baselines and the noise floor.")


def paired_picture(results: StudyResults, group: TargetGroup) -> Picture:
    """Paired differences with their intervals."""
    differences: dict[str, list[tuple[float, float, float]]] = {}
    for target in group.targets:
        for item in verdicts.comparisons(results, target):
            differences.setdefault(results.baseline_label(item.baseline), []).append(
                (item.difference, item.low, item.high)
            )
    figure = figures.paired_differences(_labels(results, group), differences)
    said = "; ".join(f"{results.label(t)}: {verdicts.standing(results, t).sentence}" for t in group.targets)
    return drawn(figure, f"{group.title}: NRMSE of the network less that of each baseline, with intervals. {said}.")


def _median(values: np.ndarray) -> float | None:
    """Median of those that are numbers; None where none is."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else None


def fold_picture(results: StudyResults, group: TargetGroup) -> Picture:
    """R2 of each fold, random and grouped, from the stored out-of-fold predictions."""
    scores = {}
    for kind, folds in results.folds.items():
        numbers = np.unique(folds.fold)
        columns = [results.column(target) for target in group.targets]
        scores[kind] = np.array(
            [[r2(folds.truth[folds.fold == n, c], folds.mean[folds.fold == n, c]) for c in columns] for n in numbers]
        )
        scores[kind][:, [results.constant(target) for target in group.targets]] = np.nan
    figure = figures.fold_scores(_labels(results, group), scores)
    medians = "; ".join(
        f"{kind} folds, medians {', '.join(score(_median(column)) for column in s.T)}" for kind, s in scores.items()
    )
    return drawn(figure, f"{group.title}: R² of every fold for {', '.join(_labels(results, group))}: {medians}.")


def _curve(entries: Any, target: str) -> list[tuple[int, float]]:
    return [(entry["n"], entry["r2"][target]) for entry in entries if is_number(entry["r2"].get(target))]


def curve_pictures(results: StudyResults, group: TargetGroup) -> list[Picture]:
    """Learning curves, one picture per target that has one; the key comes last."""
    point = results.presentation.get("published_point")
    published = (int(point["n"]), float(point["r2"])) if point else None
    pictures = []
    for target in group.targets:
        network = _curve(results.curve, target)
        if not network or results.constant(target):
            continue
        baselines = {
            results.baseline_label(name): _curve(results.curve_baselines.get(name, ()), target)
            for name in results.baselines
        }
        label = results.label(target)
        # The published point is a cross-validation result for the published outputs, which the first group is.
        here = published if group == results.groups()[0] else None
        figure = figures.learning_curve(label, network, baselines, here)
        alt = (
            f"{label}, {group.title}: R² on held-out data from {score(network[0][1])} with {network[0][0]} "
            f"training cases to {score(network[-1][1])} with {network[-1][0]}."
        )
        pictures.append(drawn(figure, alt))
    return pictures


def curve_key(results: StudyResults) -> Picture:
    """The key to all learning curves of a study."""
    names = [results.baseline_label(name) for name in results.baselines]
    published = results.presentation.get("published_point") is not None
    return drawn(figures.learning_curve_key(names, published), "Key to the learning curves.")


def coverage_pictures(results: StudyResults, group: TargetGroup) -> list[Picture]:
    """Coverage of the intervals by target, and within each held-out group; none of targets that are constant."""
    group = replace(group, targets=tuple(target for target in group.targets if not results.constant(target)))
    if not group.targets:
        return []
    judged, labels = results.metrics["coverage_judgement"], _labels(results, group)
    ranges = list(zip(*(_values(judged, group, key) for key in ("coverage", "low", "high")), strict=True))
    others = {
        words(name).lower(): _values(subset["targets"], group, "coverage90")
        for name, subset in results.metrics["subsets"].items()
        if name != "random"
    }
    overall = figures.interval_coverage(labels, ranges, others, NOMINAL_COVERAGE, COVERAGE_TOLERANCE)
    listed = ", ".join(f"{label} {percent(value[0])}" for label, value in zip(labels, ranges, strict=True))
    columns = [results.column(target) for target in group.targets]
    held = results.heldout
    random = held.subset == "random"
    inside = (held.truth >= held.lower) & (held.truth <= held.upper)
    numbers = np.unique(held.group[random])
    members = [random & (held.group == number) for number in numbers]
    by_group = np.array([inside[rows][:, columns].mean(axis=0) for rows in members])
    sizes = [int(rows.sum()) for rows in members]
    each = figures.coverage_by_group(labels, by_group, sizes, NOMINAL_COVERAGE, COVERAGE_TOLERANCE)
    return [
        drawn(overall, f"{group.title}: observed coverage of the nominal 90 % intervals: {listed}."),
        drawn(each, f"{group.title}: coverage within each of {len(numbers)} held-out groups."),
    ]
