"""Verdicts in plain words, each from an interval or a comparison that the page shows beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from understudy.report.numbers import cores, count, duration, is_number, many, percent, score
from understudy.report.results import StudyResults

BETTER, EQUAL, WORSE, OPEN = "better", "equal", "worse", "open"


@dataclass(frozen=True)
class Comparison:
    """The network against one baseline on one target.

    Attributes
    ----------
    difference, low, high : NRMSE of the network less that of the baseline, and its interval over groups (fractions).
    kind : ``better``, ``equal`` or ``worse``, of the network; ``open`` where one group gives no interval.
    """

    baseline: str
    difference: float
    low: float
    high: float
    kind: str

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        if self.kind == BETTER:
            return f"the network is better by {percent(-self.difference, 2)} of the range"
        if self.kind == WORSE:
            return f"the baseline is better by {percent(self.difference, 2)} of the range"
        if self.kind == OPEN:
            return "not judged: one held-out group gives no interval"
        return "no difference shown: the network adds nothing here"


def compare(baseline: str, entry: Mapping[str, Any]) -> Comparison:
    """Read one paired difference; an interval that holds zero shows no difference."""
    difference, low, high = (entry.get(key) for key in ("difference_nrmse", "low", "high"))
    if not (is_number(low) and is_number(high)):
        kind = OPEN
    elif high < 0:
        kind = BETTER
    elif low > 0:
        kind = WORSE
    else:
        kind = EQUAL
    nan = float("nan")
    values = [value if is_number(value) else nan for value in (difference, low, high)]
    return Comparison(baseline, *values, kind)


def comparisons(results: StudyResults, target: str) -> list[Comparison]:
    """The network against every baseline on one target, in the baselines' order."""
    paired = results.metrics["paired"]
    return [compare(name, paired[name][target]) for name in results.baselines if target in paired.get(name, {})]


@dataclass(frozen=True)
class Standing:
    """Where the network stands among all baselines on one target: the worst of its comparisons."""

    kind: str
    sentence: str


def standing(results: StudyResults, target: str) -> Standing:
    """The network earns its place on a target only where it beats every baseline."""
    if results.constant(target):
        return Standing(OPEN, "not judged: the output is constant")
    found = comparisons(results, target)
    worse = [results.baseline_label(item.baseline) for item in found if item.kind == WORSE]
    equal = [results.baseline_label(item.baseline) for item in found if item.kind == EQUAL]
    if worse:
        return Standing(WORSE, f"{' and '.join(worse)} better: the network is not worth it here")
    if equal:
        return Standing(EQUAL, f"no better than {' and '.join(equal)}: the network adds nothing here")
    if any(item.kind == OPEN for item in found):
        return Standing(OPEN, "not judged: too few held-out groups")
    return Standing(BETTER, "better than every baseline")


def best_baseline(results: StudyResults, target: str) -> tuple[str, Mapping[str, Any]]:
    """The baseline with the smallest NRMSE on one target, and its errors."""
    entries = results.metrics["baselines"]
    errors = {name: entries[name][target] for name in entries if target in entries[name]}
    name = min(errors, key=lambda key: errors[key]["nrmse"] if is_number(errors[key].get("nrmse")) else float("inf"))
    return name, errors[name]


def _range(values: list[float], show: Any) -> str:
    low, high = show(min(values)), show(max(values))
    return low if low == high else f"{low} to {high}"


def _short(title: str) -> str:
    """A group's title within a sentence: without what stands in brackets."""
    return title.partition(" (")[0].lower()


def _listed(results: StudyResults, targets: list[str]) -> str:
    """Targets by name where they are few, else their number."""
    if len(targets) > 3:
        return f"{len(targets)} of {len(results.targets)} outputs"
    titles = {target: _short(group.title) for group in results.groups() for target in group.targets}
    return ", ".join(f"{results.label(target)} ({titles.get(target, target)})" for target in targets)


def in_short(results: StudyResults) -> list[str]:
    """The study's findings, one sentence each, favourable or not."""
    return [
        *_accuracy(results),
        *_worth(results),
        *_noise(results),
        *_intervals(results),
        *_leakage(results),
        *_verification(results),
        *_speed(results),
    ]


def _accuracy(results: StudyResults) -> list[str]:
    random = results.metrics["subsets"]["random"]
    lines = []
    for group in results.groups():
        scores = [results.metrics["targets"][target]["r2"] for target in group.targets]
        scores = [value for value in scores if is_number(value)]
        if group.headline and scores:
            lines.append(f"R² {_range(scores, score)} ({_short(group.title)})")
    if not lines:
        return []
    text = (
        f"On {count(random['n'])} held-out cases from {count(random['groups'])} groups that nothing was fitted to: "
        f"{', '.join(lines)}."
    )
    constant = [target for target in results.targets if results.constant(target)]
    if constant:
        text += f" Constant in the held-out cases and not judged: {_listed(results, constant)}."
    return [text]


def _worth(results: StudyResults) -> list[str]:
    kinds = {target: standing(results, target).kind for target in results.targets if not results.constant(target)}
    better, equal, worse = ([t for t, kind in kinds.items() if kind == wanted] for wanted in (BETTER, EQUAL, WORSE))
    total = len(kinds)
    if len(better) == total:
        return ["The network beats every baseline on every output (paired, interval over held-out groups)."]
    text = (
        f"The network beats every baseline on {len(better)} of {total} outputs (paired, interval over held-out groups)."
    )
    if equal:
        text += f" It adds nothing that these data can show on {_listed(results, equal)}."
    if worse:
        text += f" A baseline is better on {_listed(results, worse)}."
    return [text]


def _noise(results: StudyResults) -> list[str]:
    floor, targets = results.metrics["noise_floor"], results.metrics["targets"]
    known = [
        t
        for t in results.targets
        if all(is_number(errors.get(key)) for errors in (floor.get(t, {}), targets[t]) for key in ("r2", "nrmse"))
    ]
    # The floor is measured on fewer cases, with a range and a variance of their own: either measure alone may put the
    # network below a floor that it is far from.
    within = [t for t in known if targets[t]["nrmse"] <= floor[t]["nrmse"] and targets[t]["r2"] >= floor[t]["r2"]]
    if not known:
        return []
    if not within:
        return [
            "No output is predicted as closely as the simulation repeats itself, by R² and NRMSE together: there is "
            "room left above the noise floor."
        ]
    return [
        f"Predicted as closely as the simulation repeats itself (at or below the noise floor): "
        f"{_listed(results, within)}. A better score there would fit noise."
    ]


def _intervals(results: StudyResults) -> list[str]:
    judged = {
        target: entry for target, entry in results.metrics["coverage_judgement"].items() if not results.constant(target)
    }
    values = [entry["coverage"] for entry in judged.values() if is_number(entry.get("coverage"))]
    verdicts = [entry.get("passed") for entry in judged.values()]
    if not values:
        return []
    text = f"90 % intervals cover {_range(values, percent)} of the held-out cases"
    given = [verdict for verdict in verdicts if verdict is not None]
    if not given:
        return [f"{text}; too few cases or groups to judge that."]
    return [f"{text}; {sum(given)} of {len(given)} outputs agree with 88–92 %."]


def _leakage(results: StudyResults) -> list[str]:
    entry = results.metrics["cross_validation"]
    drops = []
    for target in results.targets:
        random, grouped = (entry[kind].get(target, {}).get("r2") for kind in ("random", "grouped"))
        if is_number(random) and is_number(grouped):
            drops.append(random - grouped)
    if not drops:
        return []
    largest = max(drops)
    if largest < 0.005:
        return ["Random folds, as published, and folds by group give the same R² within 0.005."]
    return [f"Random folds, as published, flatter: R² is up to {largest:.3f} higher than with whole groups left out."]


def _verification(results: StudyResults) -> list[str]:
    passed = sum(bool(check["passed"]) for check in results.verification)
    total = len(results.verification)
    if not total:
        return []
    if passed == total:
        return [f"All {total} verification checks of the physics pass."]
    return [f"{passed} of {total} verification checks of the physics pass; the table shows the other {total - passed}."]


def speed_up(deployment: Mapping[str, Any]) -> float | None:
    """Time of direct simulation over that of the surrogate, for the same cases."""
    seconds, direct = deployment.get("seconds"), deployment.get("seconds_per_case_direct")
    if not (is_number(seconds) and is_number(direct)) or seconds <= 0:
        return None
    return deployment["n"] * direct / seconds


def directly_measured(deployment: Mapping[str, Any]) -> bool:
    """Whether all the cases of the deployment were simulated directly too, and timed."""
    timed = all(is_number(deployment.get(key)) for key in ("direct_wall_s", "direct_ranks"))
    return timed and deployment.get("direct_n") == deployment["n"]


def other_direct_cost(results: StudyResults) -> tuple[float, str] | None:
    """A second measured cost of a direct case with what it includes, where a study has one: seconds, and words."""
    other = results.presentation.get("other_direct_cost") or {}
    return (other["seconds_per_case"], other["includes"]) if is_number(other.get("seconds_per_case")) else None


def _speed(results: StudyResults) -> list[str]:
    deployment = results.in_use
    ratio = speed_up(deployment)
    if ratio is None:
        return []
    direct = deployment["n"] * deployment["seconds_per_case_direct"]
    times = many(ratio)
    also = other_direct_cost(results)
    if directly_measured(deployment):
        took = f"{duration(deployment['direct_wall_s'])} on {cores(deployment['direct_ranks'])}"
        text = f"direct simulation took {took} (measured), {times} times as long core against core."
    else:
        text = (
            f"direct simulation would take {duration(direct)} of one core (extrapolated from its measured time per "
            f"case), {times} times as long."
        )
    if also is not None:
        seconds, words = also
        other = many(deployment["n"] * seconds / deployment["seconds"])
        text += f" At {duration(seconds)} per case, {words}, it would take {other} times as long."
    return [f"At work: {count(deployment['n'])} cases in {duration(deployment['seconds'])}; {text}"]
