"""The axon study told as a paper: its own sections of the report, from the contents of its result files.

Pure functions of plain data. What a run did not measure is said where it would stand; nothing is left out silently.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from understudy.axon.comparison_figures import WAYS
from understudy.axon.comparisons import LAYOUT_MEANS
from understudy.axon.figures import LABELS, NAMES
from understudy.axon.goals import PUBLISHED_VOXELS, best_baseline
from understudy.report.goals import Goal, goals_table
from understudy.report.numbers import MISSING, count, is_number, percent, quantity, score
from understudy.report.wording import (
    Figures,
    absent,
    inside,
    listed,
    numeric_columns,
    section,
    signed_percent,
    value_range,
)

Results = Mapping[str, Any]

MEANS = dict(zip(LAYOUT_MEANS, NAMES.values(), strict=True))
BASELINE_NAMES = {
    "peak_strain": "peak strain",
    "gradient_boosting": "gradient boosting",
    "gaussian_process": "Gaussian process",
}
CRITERION_NAMES = {"elongation": "elongation", "bell": "Bell"}
_SETS = {
    "random": "Random profiles of held-out impacts",
    "worst_case": "Worst case of the first held-out impact",
    "white_matter": "Every voxel of the first held-out impact",
}


def headline(goals: Sequence[Goal], facts: Mapping[str, Any], results: Results) -> dict[str, Any]:
    """What was asked, what was published, and what was measured."""
    text = [
        "What was asked of the study before it was run, what the published study reports, and what was measured here. "
        "Published values are those of another axon (finite elements), of other impacts and of one gap layout; they "
        "set the scale and are no like-for-like comparison.",
        "A measure is asked up to the noise floor only: how well the simulation agrees with itself on the same "
        "profiles when their history is scaled by half a per cent. What a value reached is said by colour and sign, "
        "output by output: ✓ the goal, = what was asked at least, ✗ missed, ? not measured or not to be judged.",
    ]
    n_train = results["metrics"].get("n_train")
    if facts["voxels"] != PUBLISHED_VOXELS or (is_number(n_train) and n_train < 2000):
        text.append(
            f"The goals were set for {count(PUBLISHED_VOXELS)} voxels and {count(2000)} training profiles. This run "
            f"has {count(facts['voxels'])} voxels and {count(n_train)} training profiles, so it shows the method "
            "rather than the result."
        )
    table = goals_table(goals, list(NAMES.values()))
    table["caption"] = (
        "R² = 1 − SSE/SST, NRMSE = RMSE/(max − min of the ground truth). Floor: noise floor on the same set. Times are "
        "from profiles in memory to predictions in memory, all twelve outputs, and of one gap layout for direct "
        "simulation."
    )
    return section("goals", "headline", "The headline comparison", text, table)


def history(results: Results, figures: Figures) -> dict[str, Any]:
    """What the history of strain tells beyond its peak."""
    metrics = results["metrics"]
    baselines = metrics["baselines"]

    def r2(group: Mapping[str, Any] | None, target: str) -> Any:
        return inside(group, target, "r2")

    def share(target: str, rival: Any) -> float | None:
        """Of the variance that a rival leaves, what the network explains."""
        own = r2(metrics["targets"], target)
        return 1 - (1 - own) / (1 - rival) if is_number(own) and is_number(rival) and rival < 1 else None

    rows: list[Any] = []
    for title, ending in (("Reference gap layout", ""), ("Mean over gap layouts", "_mean")):
        rows.append({"part": title})
        for output, name in NAMES.items():
            target = f"{output}{ending}"
            peak, best = r2(baselines.get("peak_strain"), target), best_baseline(baselines, target)
            rows.append(
                [
                    name,
                    *(score(r2(baselines.get(baseline), target)) for baseline in BASELINE_NAMES),
                    score(r2(metrics["targets"], target)),
                    percent(share(target, peak), 0),
                    {
                        "text": percent(share(target, best[1]), 0),
                        "note": BASELINE_NAMES.get(best[0] or "", best[0] or ""),
                    },
                ]
            )
    gains = [share(f"{output}_mean", r2(baselines.get("peak_strain"), f"{output}_mean")) for output in LABELS]
    over_best = [share(f"{output}_mean", best_baseline(baselines, f"{output}_mean")[1]) for output in LABELS]
    lost = [
        name for (output, name), gain in zip(NAMES.items(), over_best, strict=True) if is_number(gain) and gain <= 0
    ]
    text = [
        "Peak fibre strain is what injury criteria commonly look at. A spline of it alone, boosted trees on ten "
        "scalars of the history (peaks, rates, impulse, durations, end value), and a Gaussian process on the history "
        "were fitted to the same profiles as the network and judged on the same profiles of held-out impacts.",
        "Of the variance of the layout means that peak strain leaves unexplained, the network explains "
        f"{value_range(gains, lambda v: percent(v, 0))}; of what the best of the three leaves, "
        f"{value_range(over_best, lambda v: percent(v, 0))}."
        + (f" On {', '.join(lost).lower()} it explains no more than the best baseline: no gain." if lost else ""),
    ]
    table = {
        "columns": [
            "Output",
            *numeric_columns("Spline of peak strain, R²", "Boosted trees, R²", "Gaussian process, R²", "Network, R²"),
            *numeric_columns("Explained of what peak strain leaves", "Explained of what the best baseline leaves"),
        ],
        "rows": rows,
        "caption": "Random profiles of held-out impacts. Explained: 1 − (1 − R² of the network)/(1 − R² of the other); "
        "a negative share means that the other is better. Paired differences with their intervals stand above.",
    }
    picture = figures(
        "history_gain",
        "What is left unexplained",
        "1 − R² on random profiles of held-out impacts; further left is better. The bar is the noise floor.",
    )
    return section("history", "worth", "What history adds over peak strain", text, table, [picture])


def everywhere(results: Results, figures: Figures) -> dict[str, Any]:
    """The surrogate's error at every voxel of a whole white matter."""
    title = "Error known everywhere"
    errors = results.get("errors")
    if not errors:
        return section("everywhere", "worth", title, [absent("white_matter_errors.json")])
    r2 = [inside(errors, "targets", output, "r2") for output in LABELS]
    held = [inside(errors, "targets", output, "coverage90") for output in LABELS]
    # A synthetic field has no streamlines, and so none of its voxels is filled from neighbours.
    covered = bool(errors.get("covered"))
    text = [
        f"The whole white matter of one held-out impact ({errors['impact']}) was simulated directly: "
        f"{count(errors['n'])} voxels, reference layout, so that the surrogate's error is known at each of them and "
        f"not estimated from a sample. R² over all voxels is {value_range(r2, score)}.",
        f"Voxels inside one element share its deformation: there are {count(errors['elements'])} independent elements, "
        "and the table also gives errors of means over elements. "
        + (
            "A voxel that no streamline passes takes its direction from its neighbours and is shown apart."
            if covered
            else "The fibre field gives every voxel a direction by itself, without streamlines."
        ),
        f"The nominal 90 % intervals hold {value_range(held, percent)} of the voxels. They were calibrated for random "
        "voxels of many impacts, not for one, so this is reported and not judged.",
    ]
    failed = errors.get("failed")
    if is_number(failed) and failed:
        text.append(f"The direct simulation failed at {count(failed)} voxels, which are left out.")
    flagged = errors.get("flagged") or {}
    sets = [
        ("Every voxel", errors["n"], errors.get("targets")),
        *(
            [
                ("Voxels with streamlines", inside(errors, "covered", "n"), inside(errors, "covered", "targets")),
                ("Filled voxels, no streamlines", inside(errors, "filled", "n"), inside(errors, "filled", "targets")),
            ]
            if covered
            else []
        ),
        ("Means over elements", inside(errors, "by_element", "n"), inside(errors, "by_element", "targets")),
    ]
    if is_number(flagged.get("share")):
        sets.append(
            (f"Flagged as unlike the training data ({percent(flagged['share'])})", None, flagged.get("targets"))
        )
    rows = [
        [
            label,
            count(n),
            *(
                {
                    "text": score(inside(targets, output, "r2")),
                    "note": f"NRMSE {percent(inside(targets, output, 'nrmse'))}" if targets else "none",
                }
                for output in LABELS
            ),
        ]
        for label, n, targets in sets
    ]
    table = {
        "columns": ["Set", *numeric_columns("Number", *(f"{name}, R²" for name in NAMES.values()))],
        "rows": rows,
        "caption": f"Surrogate against direct simulation, {errors['impact']}, reference layout.",
    }
    pictures = [
        figures(
            "error_by_voxel",
            "Every voxel",
            "Surrogate against direct simulation; colour counts voxels, the line is identity.",
        ),
        figures(
            "error_by_strain",
            "Error against the level of strain",
            "Mean response, error, and number of voxels in classes of peak fibre strain.",
        ),
        figures(
            "error_by_tract",
            "Error by tract",
            "NRMSE with the range of the whole map, so that tracts compare; number of voxels in brackets. A voxel "
            "belongs to the tract with the most streamline length in it; tracts of fewer than 50 voxels are left out.",
        ),
    ]
    if not errors.get("by_tract"):
        text.append("No tracts are known in this run: its fibre field does not come from named streamlines.")
    return section("everywhere", "worth", title, text, table, pictures)


def layouts(facts: Mapping[str, Any], results: Results, figures: Figures) -> dict[str, Any]:
    """What the random gap layout alone changes, and how well its spread is predicted."""
    metrics = results["metrics"]
    rows = []
    for output, name in NAMES.items():
        cells = [name, percent(facts["spread_share"].get(output), 0)]
        for ending in ("", "_mean", "_spread"):
            target = f"{output}{ending}"
            floor = inside(metrics, "noise_floor", target, "r2")
            own = score(inside(metrics, "targets", target, "r2"))
            cells.append({"text": own, "note": f"floor {score(floor)}"})
        rows.append(cells)
    text = [
        f"Where the microtubules of an axon have their gaps is not known. Each profile was run in {facts['layouts']} "
        "random gap layouts that are the same for all profiles; their mean is what an application should use, their "
        "spread (standard deviation) is an uncertainty that no amount of training data removes. The published design "
        "has one layout.",
        f"The median spread is {value_range(list(facts['spread_share'].values()), lambda v: percent(v, 0))} of the "
        "mean. "
        "The surrogate predicts mean and spread, each with its own 90 % interval; the interval speaks of the "
        "surrogate's error, the spread of the layouts.",
    ]
    table = {
        "columns": [
            "Output",
            *numeric_columns("Median spread over mean", "R², reference layout", "R², layout mean", "R², layout spread"),
        ],
        "rows": rows,
        "caption": "Spread over mean: training and held-out profiles whose mean exceeds a hundredth of the largest. "
        "R²: random profiles of held-out impacts.",
    }
    picture = figures(
        "layout_spread",
        "What the gap layout alone changes",
        f"Each point is one strain history run in {facts['layouts']} layouts that differ only in where the "
        "microtubules have their gaps.",
    )
    return section("layouts", "intervals", "Uncertainty from gap layouts", text, table, [picture])


def _slope(results: Results, criterion: str, output: str) -> dict[str, str]:
    """Sign and value of d(output)/d(rate) at fixed peak strain under a criterion."""
    rate = results.get("rate") or {}
    values = inside(rate, "outputs", criterion)
    if not values:
        return {"text": MISSING}
    column, rates = list(LABELS).index(output), rate["rate_per_s"]
    slope = (values[-1][column] - values[0][column]) / (rates[-1] - rates[0])
    if slope == 0:
        return {"text": "0"}
    sign = "+" if slope > 0 else "−"
    return {
        "text": f"{sign} {quantity(abs(float(f'{slope:.2g}')))}",
        "note": "rises with rate" if slope > 0 else "falls with rate",
    }


def headline_first(found: Mapping[str, Any]) -> list[str]:
    """The criteria of ``criteria.json``, the headline one first."""
    return sorted(found["criteria"], key=lambda name: (name != found.get("headline"), name))


def criteria(facts: Mapping[str, Any], results: Results, figures: Figures) -> dict[str, Any]:
    """Both tau criteria: the choice, the dependence on rate, and the errors at equal number of profiles."""
    rate, found = results.get("rate") or {}, results.get("criteria")
    names = [name for name in CRITERION_NAMES if name in (rate.get("outputs") or {})]
    text = [
        "A tau cross-link fails either at an elongation, or by a Bell rate on its force with a threshold of its own. "
        "The criterion decides what the rate of loading does, so both were simulated.",
        "The headline criterion is a key of the configuration, and its source there reads: "
        f"{facts['criterion_source']}. In this run the axon with it meets {facts['claims'][0]} of {facts['claims'][1]} "
        "lines of the table of published behaviour; the verification lists each.",
    ]
    if names:
        signs = []
        for name in names:
            rising = [
                NAMES[output].lower()
                for output in LABELS
                if _slope(results, name, output).get("note", "").startswith("r")
            ]
            signs.append(f"{CRITERION_NAMES[name]}: {listed(rising)}")
        low, high = rate["rate_per_s"][0], rate["rate_per_s"][-1]
        text.append(
            f"From {low:g} to {high:g} /s at a fixed peak strain of {percent(rate['peak_strain'], 0)}, what rises with "
            f"the rate is, by criterion: {'; '.join(signs)}. Nothing else does. Published: microtubules are loaded "
            "more and tau detaches less when stretched fast."
        )
    pictures = [
        figures(
            "rate_dependence",
            "Rate dependence of the two tau criteria",
            f"Outputs at a fixed peak strain of {percent(rate.get('peak_strain'), 0)} against strain rate, mean over "
            "layouts.",
        )
    ]
    title = "The two tau criteria"
    if not found:
        return section("criteria", "physics", title, [*text, absent("criteria.json")], None, pictures)
    compared = {name: found["criteria"][name] for name in headline_first(found) if found["criteria"][name]}
    text.append(
        f"Networks and baselines were fitted to the same {count(found['n_train'])} profiles under each criterion and "
        "judged on the same held-out profiles. Of the random held-out profiles, "
        + ", ".join(
            f"{percent(entry.get('saturated'))} are saturated in tau under the {CRITERION_NAMES.get(name, name)} "
            "criterion"
            for name, entry in compared.items()
        )
        + " (failed tau above 95 % of the largest)."
    )
    columns: list[Any] = ["Output"]
    for name in compared:
        words = CRITERION_NAMES.get(name, name)
        words = f"{words[:1].upper()}{words[1:]}"
        headline = " (headline)" if name == found.get("headline") else ""
        columns += numeric_columns(f"{words}{headline}: R²", "R², worst case", "best baseline R²", "d/d(rate), s")
    rows: list[Any] = []
    for part, ending in (("Reference gap layout", ""), ("Mean over gap layouts", "_mean")):
        rows.append({"part": part})
        for output, words in NAMES.items():
            target = f"{output}{ending}"
            cells: list[Any] = [words]
            for name, entry in compared.items():
                best = best_baseline(entry.get("baselines") or {}, target)
                cells += [
                    score(inside(entry, "targets", target, "r2")),
                    score(inside(entry, "worst_case", target, "r2")),
                    score(best[1]),
                    # The dependence on rate was measured as a mean over layouts.
                    _slope(results, name, output) if ending else MISSING,
                ]
            rows.append(cells)
    table = {
        "columns": columns,
        "rows": rows,
        "caption": "d/d(rate): change of the output (fraction) per 1/s of strain rate, mean over layouts, fixed peak "
        "strain.",
    }
    pictures.append(
        figures(
            "criteria",
            "Errors under the two criteria",
            f"1 − R² at {count(found['n_train'])} training profiles; filled: random profiles of held-out impacts, "
            "open: worst case, bar: best baseline on the random ones.",
        )
    )
    return section("criteria", "physics", title, text, table, pictures)


def sampling(results: Results, figures: Figures) -> dict[str, Any]:
    """Ways of choosing the training profiles at equal number."""
    title = "Sampling efficiency"
    found = results.get("sampling")
    if not found:
        return section("sampling", "data", title, [absent("sampling_comparison.json")])
    sizes, needed = found["sizes"], found.get("profiles_for_same_error") or {}
    ways = [way for way in found["ways"] if way != "random"]

    def shown(value: Any) -> str:
        if not is_number(value):
            return f"not up to {count(sizes[-1])}"
        return f"at most {count(value)}" if value <= sizes[0] else count(value)

    rows: list[Any] = []
    for name, words in _SETS.items():
        if name not in needed:
            continue
        rows.append({"part": words})
        for way in ways:
            rows.append([WAYS.get(way, (way,))[0], *(shown(inside(needed, name, output, way)) for output in LABELS)])
    text = [
        "Training profiles were chosen in several ways from the same impacts, simulated in the reference layout, and "
        f"the same network was fitted to {', '.join(count(size) for size in sizes)} of each.",
        f"The table reads across: how many profiles each way needs for the error that random choice reaches with "
        f"{count(sizes[-1])}; fewer is better.",
    ]
    missing = [words for name, words in _SETS.items() if name not in needed]
    if missing:
        text.append(f"Not measured in this run: {'; '.join(missing).lower()}.")
    table = {
        "columns": ["Way of choosing", *numeric_columns(*NAMES.values())],
        "rows": rows,
        "caption": f"Profiles for the NRMSE of {count(sizes[-1])} random ones, interpolated on logarithmic axes.",
    }
    picture = figures(
        "sampling_efficiency",
        "Error against the number of training profiles",
        "NRMSE by way of choosing the profiles, at equal numbers, on three sets; both axes logarithmic.",
    )
    return section("sampling", "data", title, text, table if rows else None, [picture])


def sexes(results: Results, figures: Figures) -> dict[str, Any]:
    """Female against male axons under the same impacts."""
    title = "Female and male axons under the same impacts"
    found = results.get("sexes")
    if not found:
        return section("sexes", "use", title, [absent("sex_comparison.json")])

    def scores(*keys: str) -> str:
        return value_range([inside(found, *keys, target, "r2") for target in MEANS], score)

    text = [
        "One network was trained on the same profiles run in male and in female axons; the number of microtubules and "
        f"the radius are its context ({count(found['n_train'])} training profiles of both). Differences are those of "
        "the axon alone: both sexes are given the same impacts, head and strains.",
        f"On held-out profiles, R² of the layout means is {scores('heldout', 'male')} for male and "
        f"{scores('heldout', 'female')} for female axons, and {scores('paired_difference')} for the difference female "
        "less male on profiles run in both.",
    ]
    rows = []
    for entry in found.get("impacts") or []:
        cells: list[Any] = [entry["impact"], quantity(entry.get("peak_velocity") and round(entry["peak_velocity"], 1))]
        for target in MEANS:
            male, female = (inside(entry, "mean", sex, target) for sex in ("male", "female"))
            worse = inside(entry, "share_female_worse", target)
            note = f"female worse in {percent(worse, 0)}" if is_number(worse) else ""
            cells.append({"text": f"{percent(male)} → {percent(female)}", "note": note})
        rows.append(cells)
    table = {
        "columns": [
            "Held-out impact",
            *numeric_columns("Peak, rad/s", *(f"{name}, male → female" for name in MEANS.values())),
        ],
        "rows": rows,
        "caption": "Layout means averaged over the whole white matter, and the share of voxels in which the female "
        "axon fares worse. Parameters of the female axon are estimates; see the configuration.",
    }
    if not found.get("by_tract"):
        text.append("No tracts are known in this run, so distributions by tract are not shown.")
    pictures = [
        figures(
            "sex_maps",
            "Male, female, and their difference",
            f"Layout means on every voxel of {found['impact']}, axial plane through the most affected white matter.",
        ),
        figures(
            "sexes_by_tract",
            "Distributions by tract",
            f"Layout means over the voxels of each tract, {found['impact']}: line 5–95 %, bar 25–75 %, tick median. "
            "The largest tracts, number of voxels in brackets.",
        ),
    ]
    return section("sexes", "use", title, text, table if rows else None, pictures)


def sensitivity(results: Results) -> dict[str, Any]:
    """What the settings of the brain mechanics change."""
    title = "Sensitivity of the mechanics"
    found = results.get("sensitivity")
    if not found:
        return section("sensitivity", "physics", title, [absent("sensitivity.json")])
    reference = found["reference"]
    rows: list[Any] = []
    for entry in found["variants"]:
        if entry.get("diverged"):
            rows.append([entry["name"], {"text": f"diverged: {entry['diverged']}", "span": 4 + len(MEANS)}])
            continue
        changes = []
        for target in MEANS:
            now, before = inside(entry, "mean", target), inside(reference, "mean", target)
            known = is_number(now) and is_number(before) and before > 0
            changes.append(signed_percent(now / before - 1 if known else None))
        rows.append(
            [
                {"text": entry["name"], "note": f"{entry['key']} = {quantity(entry['value'])}"},
                percent(entry.get("p95"), 2),
                signed_percent(entry.get("p95_change")),
                score(entry.get("r2")),
                percent(entry.get("rms_history")),
                *changes,
            ]
        )
    text = [
        f"The first held-out impact ({found['impact']}) was repeated with one setting of the mechanics changed at a "
        f"time. Its fibre strain has a 95th percentile of {percent(reference.get('p95'), 2)} and a largest value of "
        f"{percent(reference.get('max'))} over the white matter.",
        "The four columns on the right carry the change on to the surrogate's layout means, averaged over the white "
        "matter: an uncertainty of the input that is to be set against the surrogate's error.",
    ]
    if found.get("reproduced") is False:
        text.append("The repetition with unchanged settings did not give the stored strains bit for bit.")
    table = {
        "columns": [
            "Setting",
            *numeric_columns(
                "95th percentile of peak strain", "Change", "R² of peak strain", "History difference, RMS"
            ),
            *numeric_columns(*(f"{name}, mean" for name in MEANS.values())),
        ],
        "rows": rows,
        "caption": "R² and history difference: voxel by voxel against the unchanged run; the difference is over the "
        "RMS of the unchanged history. Changes are relative.",
    }
    return section("sensitivity", "physics", title, text, table)


def study_sections(
    goals: Sequence[Goal], facts: Mapping[str, Any], results: Results, drawn: Sequence[str]
) -> list[dict[str, Any]]:
    """All sections in the order of the paper; the page places them by slot.

    Parameters
    ----------
    goals : see `understudy.axon.goals`.
    facts : ``voxels``, ``layouts``, ``spread_share`` (output -> median of spread over mean), ``criterion_source`` and
        ``claims`` (published behaviour met, and of how many).
    results : contents of the result files by name: ``metrics``; and, each None where the run has it not, ``floor``,
        ``errors``, ``criteria``, ``sampling``, ``sexes``, ``sensitivity``, ``cost``, ``deployment``, ``rate``.
    drawn : names of the figures that were drawn.
    """
    figures = Figures(drawn)
    return [
        headline(goals, facts, results),
        history(results, figures),
        everywhere(results, figures),
        layouts(facts, results, figures),
        criteria(facts, results, figures),
        sampling(results, figures),
        sexes(results, figures),
        sensitivity(results),
    ]
