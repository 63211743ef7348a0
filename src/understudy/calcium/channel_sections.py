"""Sections of the calcium study about one architecture for other channels, for observations and for designed data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from understudy.calcium.channel_figures import KNOBS, MEMBERS
from understudy.calcium.goals import (
    LEAST_SEEDS,
    LEAST_VALUES,
    SPIKE_PEAK_MV,
    SPIKE_TIME_MS,
    fine,
    inverse_errors,
    knobs,
    ratio,
    times,
)
from understudy.report.goals import MISSED, OPEN
from understudy.report.numbers import MISSING, beside, count, is_number, percent, quantity, score
from understudy.report.wording import (
    Figures,
    absent,
    counted,
    inside,
    listed,
    numeric_columns,
    section,
    value_range,
)

Results = Mapping[str, Any]


def family(results: Results, figures: Figures) -> dict[str, Any]:
    """The same architecture for five channels, and action potentials by networks."""
    title = "The same architecture for other channels"
    found = inside(results.get("channels"), "members") or []
    if not found:
        return section("channels", "use", title, [absent("channels.json")])
    rows = []
    for entry in sorted(found, key=lambda entry: list(MEMBERS).index(entry["channel"])):
        cells = [MEMBERS[entry["channel"]], count(entry.get("weights"))]
        for kind in ("drawn", "recorded"):
            errors = entry.get(kind) or {}
            cells += [score(errors.get("r2")), fine(errors.get("nrmse"))]
        rows.append(cells)
    weights = {entry.get("weights") for entry in found}
    text = [
        "One form serves all: rates from the driver (voltage or calcium) and both gates, the same widths"
        + (f" and the same {count(weights.pop())} weights" if len(weights) == 1 else "")
        + ". Only the driver's range differs. Held-out protocols are of two kinds: drawn like those of training "
        "(steps, paired pulses, ramps, noise), and clamps to recorded waveforms, a kind that training has none of.",
    ]
    spikes = inside(results.get("channels"), "spikes") or {}
    for name, entry in spikes.items():
        if not isinstance(entry, Mapping):
            continue
        words = "both channels" if name == "both" else f"{name} channels"
        time, peak = entry.get("time_ms"), entry.get("peak_mV")
        held = is_number(time) and is_number(peak) and time <= SPIKE_TIME_MS and peak <= SPIKE_PEAK_MV
        text.append(
            f"Hodgkin-Huxley cable with {words} by network{'s' if name == 'both' else ''}: spike times within "
            f"{quantity(time)} ms and peaks within {quantity(peak)} mV over {count(entry.get('spikes'))} spikes "
            f"({'as asked' if held else 'not as asked'}: {SPIKE_TIME_MS:g} ms, {SPIKE_PEAK_MV:g} mV)."
        )
    if not spikes:
        text.append("Not measured in this run: action potentials of a Hodgkin-Huxley cable.")
    table = {
        "columns": ["Channel", *numeric_columns("Weights", "Drawn, R²", "NRMSE", "Recorded, R²", "NRMSE")],
        "rows": rows,
        "caption": "Open probability on held-out protocols, from their beginning to their end.",
    }
    pictures = [
        figures(
            "channels",
            "Five channels, one architecture",
            "A held-out protocol of each over its intervals, which are "
            "shortest after jumps, and errors over all protocols.",
        ),
        figures(
            "spikes",
            "Action potentials with networks for channels",
            "Half-way along an axon; the difference is largest where the voltage runs fastest and a time error shows.",
        ),
    ]
    return section("channels", "use", title, text, table, pictures)


def _nearer(own: Any, other: Any) -> dict[str, str]:
    """An error of the network, marked by that of the simpler way."""
    cell = {"text": beside(ratio(own), own, other)}
    if is_number(own) and is_number(other):
        cell["mark"] = "better" if own < other else "worse"
    return cell


def observed(results: Results, figures: Figures) -> dict[str, Any]:
    """Channels from noisy, sparse observations."""
    title = "From noisy, sparse observations"
    found = inside(results.get("channels"), "observations") or []
    if not found:
        return section("observations", "use", title, ["Not measured in this run: observations in channels.json."])
    rows, wins = [], 0
    for entry in found:
        own, table = entry.get("network_new"), entry.get("table_new")
        better = is_number(own) and is_number(table) and own < table
        wins += better
        rows.append(
            [
                {"text": MEMBERS.get(entry["channel"], entry["channel"]), "note": entry["kind"]},
                quantity(entry.get("noise")),
                percent(entry.get("seen"), 0),
                _nearer(own, table) | {"note": f"R² {score(entry.get('r2_new'))}"},
                {"text": beside(ratio(table), table, own), "note": f"R² {score(entry.get('table_r2_new'))}"},
                _nearer(entry.get("network_missing"), entry.get("smoothing_missing")),
                beside(
                    ratio(entry.get("smoothing_missing")), entry.get("smoothing_missing"), entry.get("network_missing")
                ),
            ]
        )
    text = [
        "Here no closure, scheme or state is given: only noisy, sparse observations with missing spans, of the open "
        "probability or of the fluorescence of a dye in a store that the channels empty. The known truth serves for "
        "the errors alone. On protocols that were never observed the network is held against a table of the open "
        "probability by its driver, which is all that can be read off without a model.",
        f"The network is nearer to the truth in {wins} of {len(found)} cases."
        + (" Where it is not, the table without memory is the better choice." if wins < len(found) else ""),
    ]
    table = {
        "columns": [
            "Channel and observation",
            *numeric_columns("Noise", "Seen", "New: network", "Table", "Missing spans: network", "Smoothing"),
        ],
        "rows": rows,
        "caption": "Root mean square errors of the open probability against the truth: on new protocols, and inside "
        "the missing spans of observed ones. Noise: standard deviation; seen: share of instants that were observed.",
    }
    picture = figures(
        "observations",
        "What was seen, and what a network made of it",
        "Above: observations of one protocol; below: the truth, the network's course and smoothing in time. Intervals "
        "are shortest after jumps, so that fast and slow parts are both seen.",
    )
    return section("observations", "use", title, text, table, [picture])


_KNOB_MARKS = {MISSED: "worse", OPEN: "open"}


def designed(results: Results, figures: Figures) -> dict[str, Any]:
    """Channels designed for a wanted wave."""
    title = "Designed channels"
    found = inside(results.get("design"), "knobs") or []
    if not found:
        return section("design", "use", title, [absent("design.json")])
    rows: list[Any] = []
    failed: list[str] = []
    unjudged: list[str] = []
    reached = {entry.output: entry.reached for entry in knobs(results).measured}
    for entry in found:
        words = KNOBS.get(entry["knob"], entry["knob"]).partition(" (")[0]
        verdict = reached[entry["outcome"]]
        if verdict in (MISSED, OPEN):
            (failed if verdict == MISSED else unjudged).append(words.lower())
        rows.append(
            [
                {"text": words, "note": entry["outcome"]},
                ratio(entry["values"][0]) + " to " + ratio(entry["values"][-1]),
                {"text": quantity(entry.get("spearman")), "mark": _KNOB_MARKS.get(verdict, "better")},
                times(entry.get("span")),
                ratio(entry.get("spread_over_half_step")) if len(entry.get("outcomes") or []) > 1 else MISSING,
            ]
        )
    errors, inverse = inverse_errors(results), inside(results.get("design"), "inverse") or []
    seeds = max(len(entry.get("outcomes") or []) for entry in found)
    values = min(len(entry["values"]) for entry in found)
    text = [
        "Nothing says that a channel must be one of nature's: its data can be designed, with knobs for the amplitude, "
        "the duration and the threshold of the wave that it makes. One network knows the knobs; "
        f"it was trained from {counted(seeds, 'seed')}. A knob passes if its outcome is strictly monotone in each "
        "network, covers a factor of two, and seeds differ by less than half a step between neighbouring values.",
    ]
    if failed:
        text.append(f"Knobs that do not pass: {listed(failed)}.")
    if unjudged:
        text.append(
            f"Not judged: {listed(unjudged)}. A verdict asks for {LEAST_VALUES} values of a knob and {LEAST_SEEDS} "
            f"seeds, because one network says nothing about the next; this run has {count(values)} and {count(seeds)}."
        )
    if not failed and not unjudged:
        text.append("All knobs pass.")
    if errors:
        runs = [entry.get("simulations") for entry in inverse]
        text.append(
            f"The way back: {counted(len(errors), 'wanted pair')} of amplitude and duration "
            f"{'was' if len(errors) == 1 else 'were'} reached within {value_range(errors, fine)} (the larger of the "
            f"two errors), with {value_range(runs, count)} simulations each by the network in the cable."
        )
        exact = [abs(e) for entry in inverse for e in entry.get("exact_errors") or [] if is_number(e)]
        if exact:
            text.append(
                "What the network promises, the design keeps within "
                f"{percent(max(exact))}: with its own kinetics at the knobs that were found, amplitude and duration "
                "miss the wanted ones by no more."
            )
    else:
        text.append("Not measured in this run: inverse design.")
    nets = inside(results.get("design"), "networks") or []
    if nets:
        text.append(
            "Against the design itself, on held-out clamps with new knobs, the networks have R² "
            f"{value_range([entry.get('r2') for entry in nets], score)}."
        )
    table = {
        "columns": [
            "Knob and outcome", "Values", {"title": "Spearman", "numeric": True},
            *numeric_columns("Range of the outcome", "Seed spread over half a step"),
        ],
        "rows": rows,
        "caption": "Spearman's coefficient and range of the worst network.",
    }  # fmt: skip
    pictures = [
        figures(
            "knobs",
            "Knobs and what they steer",
            "Above: outcome against knob, one line per seed, and the design without a network (dashed). Below: calcium "
            "at 0.6 of the cable as the knob grows, dark to light, first seed.",
        ),
        figures("design", "Inverse design", "Wanted and reached waves; their errors beside what was asked."),
    ]
    return section("design", "use", title, text, table, pictures)


def channel_sections(results: Results, figures: Figures) -> list[dict[str, Any]]:
    """The sections in the order of the paper."""
    return [family(results, figures), observed(results, figures), designed(results, figures)]
