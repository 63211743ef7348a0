"""What the axon study was to reach, set before it was run, and what it measured.

Each goal has a published value where there is one, a value that is asked at least, and one to aim at. A measure is
asked up to the noise floor of the simulation only: no surrogate can be held to a repetition that the simulation itself
does not keep.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from understudy.axon.figures import LABELS
from understudy.report.goals import GOAL, MISSED, OPEN, REPORTED, Goal, Measured, judge
from understudy.report.numbers import MISSING, cores, count, duration, is_number, percent, score

WORST_R2 = (0.95, 0.99)
WORST_NRMSE = (0.04, 0.02)
UNEXPLAINED_RATIO = (0.5, 0.25)
FEWEST_PROFILES = 300
EVERYWHERE_R2 = 0.98
INTERVAL_WIDTH_RATIO = 0.8
SURROGATE_S = (3.0, 1.0)
DIRECT_S = (90 * 60.0, 20 * 60.0)
PUBLISHED_VOXELS = 92_439
# Ranks that had less of their cores than this shared them with other work, and their elapsed time says so.
_BUSY = 0.9


def _entry(group: Mapping[str, Any] | None, target: str) -> Mapping[str, Any]:
    return ((group or {}).get(target)) or {}


def _worst_case(
    measure: str, asked: tuple[float, float], show: Callable[[Any], str], above: bool, results: Mapping[str, Any]
) -> Goal:
    """R2 or NRMSE of the reference layout on the worst case, or the floor where that is no better."""
    worst = ((results["metrics"].get("subsets") or {}).get("worst_case") or {}).get("targets")
    floors = (results.get("floor") or {}).get("worst_case")
    limit = min if above else max
    measured = []
    for target in LABELS:
        value, floor = _entry(worst, target).get(measure), _entry(floors, target).get(measure)
        least, goal = (limit(bound, floor) if is_number(floor) else bound for bound in asked)
        measured.append(
            Measured(
                target,
                value,
                show(value),
                judge(value, least, goal, above),
                f"floor {show(floor)}" if is_number(floor) else "floor not measured",
                least,
                goal,
            )
        )
    return Goal(
        {"r2": "R²", "nrmse": "NRMSE"}[measure],
        f"{ {'r2': 'R²', 'nrmse': 'NRMSE'}[measure] } on the worst case",
        "Worst case of the first held-out impact, reference layout",
        {"r2": "0.91–0.98", "nrmse": "2.7–5.0 %"}[measure],
        {"r2": "0.95, or the floor", "nrmse": "4 %, or the floor"}[measure],
        {"r2": "0.99, or the floor", "nrmse": "2 %, or the floor"}[measure],
        tuple(measured),
    )


def best_baseline(baselines: Mapping[str, Any], target: str) -> tuple[str | None, float | None]:
    """Name and R2 of the baseline with the largest R2 on one target; None where there is none."""
    scores = {name: _entry(errors, target).get("r2") for name, errors in baselines.items()}
    known = {name: value for name, value in scores.items() if is_number(value)}
    if not known:
        return None, None
    name = max(known, key=lambda key: known[key])
    return name, known[name]


def _layout_mean(results: Mapping[str, Any], names: Mapping[str, str]) -> Goal:
    """Unexplained variance of the layout mean over that of the best baseline."""
    metrics = results["metrics"]
    measured = []
    for output in LABELS:
        target = f"{output}_mean"
        own = _entry(metrics["targets"], target).get("r2")
        name, best = best_baseline(metrics["baselines"], target)
        ratio = (1 - own) / (1 - best) if is_number(own) and is_number(best) and best < 1 else None
        reached = judge(ratio, *UNEXPLAINED_RATIO, above=False)
        text = MISSING if ratio is None else f"{ratio:.2f}"
        note = f"{names.get(name, name)} {score(best)}" if name else ""
        if ratio is not None and ratio >= 1:
            note = f"no gain; {note}"
        measured.append(Measured(target, ratio, text, reached, note, *UNEXPLAINED_RATIO))
    return Goal(
        "1 − R² over that of the best baseline",
        "1 − R² of the layout mean over the best baseline's",
        "Layout mean, random profiles of held-out impacts",
        "never asked",
        "half, or “no gain” said",
        "a quarter",
        tuple(measured),
    )


def smallest_winning_size(
    network: Sequence[Mapping[str, Any]], baselines: Mapping[str, Sequence[Mapping[str, Any]]], target: str
) -> int | None:
    """The smallest number of training profiles from which on the network has a larger R2 than every baseline.

    Parameters
    ----------
    network, baselines : points ``n`` and ``r2`` (target -> value) of the learning curves.

    Returns
    -------
    None where it does not at the largest size, or where there are no points.
    """
    winning = None
    for point in sorted(network, key=lambda entry: entry["n"]):
        rivals = [
            value
            for points in baselines.values()
            for entry in points
            if entry["n"] == point["n"] and is_number(value := entry["r2"].get(target))
        ]
        own = point["r2"].get(target)
        ahead = is_number(own) and bool(rivals) and own > max(rivals)
        winning = (winning or int(point["n"])) if ahead else None
    return winning


def _fewest(results: Mapping[str, Any], part: str, ending: str) -> Goal:
    """The smallest number of training profiles from which on the network beats the best baseline."""
    metrics = results["metrics"]
    curve, rivals = metrics.get("learning_curve") or [], metrics.get("learning_curve_baselines") or {}
    largest = max((int(point["n"]) for point in curve), default=None)
    measured = []
    for output in LABELS:
        target = f"{output}{ending}"
        size = smallest_winning_size(curve, rivals, target)
        if size is not None:
            reached = GOAL if size <= FEWEST_PROFILES else REPORTED
            measured.append(Measured(target, size, count(size), reached, goal=FEWEST_PROFILES))
        elif largest is None:
            measured.append(Measured(target, None, MISSING, OPEN, goal=FEWEST_PROFILES))
        else:
            text = f"not up to {count(largest)}"
            measured.append(Measured(target, None, text, REPORTED, goal=FEWEST_PROFILES))
    return Goal(
        "Smallest N from which on the network beats every baseline",
        f"N from which on it beats every baseline, {'layout mean' if ending else 'reference layout'}",
        part,
        "never asked",
        "reported",
        count(FEWEST_PROFILES),
        tuple(measured),
    )


def _everywhere(results: Mapping[str, Any]) -> Goal:
    errors = results.get("errors") or {}
    measured = []
    for target in LABELS:
        value = _entry(errors.get("targets"), target).get("r2")
        elements = _entry((errors.get("by_element") or {}).get("targets"), target).get("r2")
        note = f"by element {score(elements)}" if is_number(elements) else ""
        reached = judge(value, None, EVERYWHERE_R2, above=True)
        measured.append(Measured(target, value, score(value), reached, note, None, EVERYWHERE_R2))
    voxels = f"{count(errors['n'])} voxels" if is_number(errors.get("n")) else "every voxel"
    return Goal(
        f"R² over the whole white matter ({voxels})",
        "R² over every voxel",
        "Every voxel of the first held-out impact, reference layout",
        "never measured",
        "reported",
        f"{EVERYWHERE_R2:g}",
        tuple(measured),
    )


def _coverage(results: Mapping[str, Any], title: str, ending: str) -> Goal:
    judged = results["metrics"].get("coverage_judgement") or {}
    measured = []
    for output in LABELS:
        target = f"{output}{ending}"
        entry = _entry(judged, target)
        passed = entry.get("passed")
        reached = OPEN if passed is None else (GOAL if passed else MISSED)
        note = "" if passed is None else ("pass" if passed else "fail")
        measured.append(Measured(target, entry.get("coverage"), percent(entry.get("coverage")), reached, note))
    return Goal(
        f"Coverage, {title}",
        f"coverage of the intervals, {title}",
        "90 % intervals",
        "none",
        "pass",
        "pass",
        tuple(measured),
    )


def _width(results: Mapping[str, Any], title: str, ending: str) -> Goal:
    """Mean width of the intervals over that of the Gaussian process's."""
    metrics = results["metrics"]
    rival = (metrics.get("baseline_intervals") or {}).get("gaussian_process")
    measured = []
    for output in LABELS:
        target = f"{output}{ending}"
        own, other = _entry(metrics["targets"], target).get("interval_width"), _entry(rival, target).get("width")
        ratio = own / other if is_number(own) and is_number(other) and other > 0 else None
        covers = _entry(rival, target).get("coverage")
        measured.append(
            Measured(
                target,
                ratio,
                MISSING if ratio is None else f"{ratio:.2f}",
                judge(ratio, None, INTERVAL_WIDTH_RATIO, above=False),
                f"its coverage {percent(covers)}" if is_number(covers) else "",
                None,
                INTERVAL_WIDTH_RATIO,
            )
        )
    return Goal(
        f"Mean width over the Gaussian process's, {title}",
        f"interval width over the Gaussian process's, {title}",
        "90 % intervals",
        "none",
        "reported",
        f"{INTERVAL_WIDTH_RATIO:g}",
        tuple(measured),
    )


_SPEED = "Time for the whole white matter"


def _seconds(value: Any) -> str:
    """A short time in seconds whatever its size, so that two of them compare at a glance."""
    return f"{value:.2f} s" if is_number(value) and 0.1 <= value < 10 else duration(value)


def _surrogate_time(results: Mapping[str, Any]) -> Goal:
    deployment = results.get("deployment") or {}
    voxels = deployment.get("n")
    where = "" if str(deployment.get("device", "cpu")) == "cpu" else f" of {deployment['device']}"
    measured = []
    for key, words, least, goal in (
        ("seconds", "one core", SURROGATE_S[0], None),
        ("seconds_two_threads", "two cores", None, SURROGATE_S[1]),
    ):
        seconds = deployment.get(key)
        reached = judge(seconds, least, goal, above=False)
        measured.append(Measured(words, seconds, _seconds(seconds), reached, f"{words}{where}", least, goal))
    return Goal(
        f"Surrogate, {count(voxels)} voxels in memory" if is_number(voxels) else "Surrogate, voxels in memory",
        "time of the surrogate",
        _SPEED,
        "12 s",
        f"{duration(SURROGATE_S[0])} on one core",
        f"{duration(SURROGATE_S[1])} on two",
        tuple(measured),
    )


def direct_time(cost: Mapping[str, Any] | None) -> tuple[float | None, float | None, int | None, bool]:
    """Elapsed seconds, processor seconds and ranks of the direct simulation of the whole white matter.

    Returns
    -------
    Also whether they were measured as a whole; of a simulation that was resumed they follow from its time per voxel.
    """
    if not cost or not is_number(cost.get("cpu_s_per_case")) or not is_number(cost.get("ranks")):
        return None, None, None, False
    ranks = int(cost["ranks"])
    if cost.get("computed") == cost.get("n") and is_number(cost.get("wall_s")):
        return float(cost["wall_s"]), float(cost["cpu_s"]), ranks, True
    processor = float(cost["cpu_s_per_case"]) * cost["n"]
    return processor / ranks, processor, ranks, False


def _direct_time(results: Mapping[str, Any]) -> Goal:
    wall, processor, ranks, whole = direct_time(results.get("cost"))
    least, goal = DIRECT_S
    note = ""
    if wall is not None:
        kind = "measured" if whole else "from the time per voxel: the run was resumed"
        note = f"on {cores(ranks)}, {processor / 3600:.2f} core hours, {kind}"
        if processor < _BUSY * ranks * wall:
            note += f"; the cores gave it {percent(processor / (ranks * wall), 0)} of their time"
    # The goal is for two cores: what more cores would do does not count.
    judged = None if wall is None else max(wall, processor / 2)
    measured = Measured("", wall, duration(wall), judge(judged, least, goal, above=False), note, least, goal)
    return Goal(
        "Direct simulation, reference layout, two cores",
        "time of direct simulation",
        _SPEED,
        "~12 years",
        duration(least),
        duration(goal),
        (measured,),
    )


def study_goals(results: Mapping[str, Any], names: Mapping[str, str]) -> list[Goal]:
    """All goals with what was measured.

    Parameters
    ----------
    results : contents of the study's files by name: ``metrics`` must be there; ``floor``, ``errors``, ``deployment``
        and ``cost`` may be None.
    names : baselines' names for people.
    """
    mean = "Layout mean, random profiles of held-out impacts"
    reference = "Reference layout, random profiles of held-out impacts"
    return [
        _worst_case("r2", WORST_R2, score, True, results),
        _worst_case("nrmse", WORST_NRMSE, percent, False, results),
        _layout_mean(results, names),
        _fewest(results, mean, "_mean"),
        _fewest(results, reference, ""),
        _everywhere(results),
        _coverage(results, "reference layout", ""),
        _coverage(results, "layout mean", "_mean"),
        _coverage(results, "layout spread", "_spread"),
        _width(results, "reference layout", ""),
        _width(results, "layout mean", "_mean"),
        _surrogate_time(results),
        _direct_time(results),
    ]


# Short names of the outputs, whatever is made of their layouts.
BRIEF = {
    f"{output}{ending}": name
    for output, name in (
        ("microtubule_strain", "microtubules"),
        ("axolemma_strain", "axolemma"),
        ("tau_failed", "tau"),
        ("neurofilament_failed", "side-arms"),
    )
    for ending in ("", "_mean", "_spread")
}
