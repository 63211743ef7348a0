"""Sections of the calcium study about the hybrid: closed loop, held-out sets, steps, recovery, wave or no wave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from understudy.calcium.goals import (
    CHANNELS,
    COMPACT,
    HEADLINE,
    STEPS,
    fine,
    hybrid,
    seeds_of,
    worst_step_error,
)
from understudy.report.numbers import MISSING, count, duration, is_number, percent, quantity, score
from understudy.report.wording import Figures, absent, inside, numeric_columns, section, signed_percent, value_range

Results = Mapping[str, Any]

_CONTROL = "waves_only"


def _known(results: Results, part: str) -> list[str]:
    return [name for name in CHANNELS if hybrid(results, name, part)]


def _missing(part: str) -> str:
    return f"Not measured in this run: hybrid.json has no {part}."


def closed_loop(results: Results, figures: Figures) -> dict[str, Any]:
    """The reference front with every channel in the place of the equations."""
    title = "Closed loop: the reference front"
    names = _known(results, "front")
    if not names:
        return section("closed-loop", "headline", title, [absent("hybrid.json")])
    rows = []
    for name in names:
        front = hybrid(results, name, "front")
        seeds = seeds_of(results, name, "front", "r2_open")
        spread = f"{score(min(seeds))} to {score(max(seeds))}, {len(seeds)} seeds" if len(seeds) > 1 else ""
        rows.append(
            [
                CHANNELS[name],
                signed_percent(front.get("speed"), 2),
                f"{front['arrival_ms']:+.3f}".replace("-", "−") if is_number(front.get("arrival_ms")) else MISSING,
                signed_percent(front.get("peak"), 2),
                fine(front.get("nrmse_u")),
                {"text": _r2(front.get("r2_open")), "note": spread},
                fine(front.get("nrmse_open")),
                percent(hybrid(results, name, "excursions", "share"), 2),
            ]
        )
    own, closure = (hybrid(results, name, "front", "r2_open") for name in (COMPACT, "one_state"))
    selection = inside(results.get("hybrid"), "selection")
    text = [
        "A network takes the place of the receptors' equations at every node, and what it does feeds back on the "
        "calcium that drives it. The front runs along 64 µm at a spacing of 0.25 µm; traces are compared at three "
        "sites without aligning them, so that a wrong speed counts in full.",
    ]
    if selection:
        text.append(
            "Of several networks with as many unknowns the one stands here whose calcium errs least in closed loop on "
            "parameter sets drawn for this choice alone; the range over all of them is given."
        )
    if is_number(own) and is_number(closure):
        text.append(
            f"With 4 unknowns the open probability has R² {_r2(own)} in closed loop, the one-state closure has "
            f"{_r2(closure)}: what that lacks is the slow refractory state."
        )
    control = hybrid(results, _CONTROL)
    if control:
        share, first = inside(control, "excursions", "share"), inside(control, "excursions", "first_s")
        words = "Negative control: a network trained on waves alone"
        words += f" errs by {signed_percent(inside(control, 'front', 'speed'))} in speed"
        words += f"; the monitor of its training domain flags {percent(share, 2)} of node-steps"
        words += f", first after {duration(first)}" if is_number(first) else ""
        error, flagged = inside(control, "front", "speed"), is_number(share) and share > 0
        if is_number(error) and abs(error) < STEPS[0]:
            words += ". It carries this front all the same: there is no failure to announce"
        else:
            words += ": the failure is announced" if flagged else ": the failure is not announced"
        text.append(f"{words}.")
    else:
        text.append("Not measured in this run: the negative control, a network trained on waves alone.")
    table = {
        "columns": [
            "In the cable",
            *numeric_columns("Speed", "Arrival, ms", "Peak", "Calcium, NRMSE", "Open prob., R²", "NRMSE", "Flagged"),
        ],
        "rows": rows,
        "caption": "Against the receptors' equations (6 unknowns) at the same spacing and step. Flagged: node-steps "
        "outside of what training visited.",
    }
    pictures = [
        figures(
            "waves",
            "Kymographs with equations and with networks",
            "Cytosolic calcium, ER calcium and open probability over time and distance; right: difference of each "
            "network from the equations, one scale per row.",
        ),
        figures(
            "traces",
            "Traces at three sites",
            "Cytosolic calcium while the front passes, and ER calcium over the whole run; not aligned.",
        ),
        figures(
            "open_probability",
            "Open probability in closed loop",
            "Half-way along, and its difference from that with the equations; time after arrival is linear up to 5 ms "
            "and logarithmic beyond.",
        ),
        figures(
            "clamps",
            "Clamps: calcium held high, and back",
            "Open probability in open loop at four levels of calcium (shaded: held high); the second half is recovery.",
        ),
    ]
    return section("closed-loop", "headline", title, text, table, pictures)


def _r2(value: Any) -> str:
    """R2 with as many decimals as tell it from 1."""
    if not is_number(value):
        return MISSING
    return score(value) if value < 0.995 else f"{value:.5f}"


def heldout(results: Results, figures: Figures) -> dict[str, Any]:
    """Parameter sets that nothing was trained on."""
    title = "Held-out parameter sets"
    names = _known(results, "heldout")
    if not names:
        return section("held-out", "headline", title, [_missing("part heldout")])
    rows, first = [], hybrid(results, names[0], "heldout")
    for name in names:
        found = hybrid(results, name, "heldout")
        keys = ("speed_median", "speed_max", "conditioned_speed_median", "conditioned_speed_max",
                "nrmse_u_median", "nrmse_u_max")  # fmt: skip
        missed = found.get("missed")
        rows.append(
            [CHANNELS[name], *(fine(found.get(key)) for key in keys), {"text": count(missed), **_bad(bool(missed))}]
        )
    text = [
        f"{count(first.get('n'))} sets of receptors, radii, calbindin, diffusion, membrane, resting calcium and "
        "stimulus, drawn from the ranges of training, and none of them trained on; "
        f"{count(first.get('n_waves'))} carry a wave with the equations. Some were held at high "
        "calcium for long before, so that many receptors are refractory when the stimulus comes: in "
        f"{count(first.get('n_conditioned'))} the one-state closure errs by 5 % or more in speed, or in whether there "
        "is a wave at all. A network with 4 unknowns cannot know of the past either; 5 can.",
    ]
    table = {
        "columns": [
            "In the cable",
            *numeric_columns(
                "Speed, median", "maximum", "Preconditioned, median", "maximum", "Calcium NRMSE, median", "maximum"
            ),
            {"title": "Wave in one alone", "numeric": True},
        ],
        "rows": rows,
        "caption": "Errors of speed where both make a wave. Wave in one alone: sets in which either the equations or "
        "the channel make a wave, and not both; they count in no error of speed.",
    }
    picture = figures(
        "heldout",
        "Speeds on held-out parameter sets",
        "Left: with the channel against with the equations; right: errors set by set (open: preconditioned; dashed: "
        "1 and 3 %; at 30: a wave in one alone or an error of more).",
    )
    return section("held-out", "headline", title, text, table, [picture])


def _bad(bad: bool) -> dict[str, str]:
    return {"mark": "worse"} if bad else {}


def steps(results: Results, figures: Figures) -> dict[str, Any]:
    """How speed depends on the time step."""
    title = "Time steps"
    names = _known(results, "steps")
    if not names:
        return section("steps", "headline", title, [_missing("part steps")])
    first = hybrid(results, names[0], "steps")
    at = first["step_s"]
    rows: list[Any] = [
        ["equations, speed in µm/s", *(f"{v:.1f}" if is_number(v) else MISSING for v in first["equations"]),
         signed_percent((first.get("change") or [None])[0])]
    ]  # fmt: skip
    for name in names:
        found = hybrid(results, name, "steps")
        cells = []
        for error, speed in zip(found["error"], found["channel"], strict=True):
            none = is_number(speed) and speed <= 0
            cells.append({"text": "no wave", "mark": "worse"} if none else signed_percent(error, 2))
        rows.append([CHANNELS[name], *cells, signed_percent((found.get("change") or [None, None])[-1])])
    worst = {name: worst_step_error(results, name) for name in (COMPACT, HEADLINE)}
    text = [
        "What is claimed of a hybrid is that it minds the time step no more than the equations do. Each row compares "
        "speeds in the same scheme at the same step; the last column is the whole change from the shortest to the "
        "longest step, which belongs to the scheme.",
        f"Over all steps the speed with 4 unknowns errs by at most {fine(worst[COMPACT])}, with 5 by "
        f"{fine(worst[HEADLINE])}. Rates are taken by the network and the step in closed form with the rates held, so "
        "the network is asked for nothing that depends on the step.",
    ]
    table = {
        "columns": [
            "In the cable",
            *numeric_columns(*(f"{quantity(1e6 * step) if is_number(step) else MISSING} µs" for step in at), "Change"),
        ],
        "rows": rows,
        "caption": "Speed of the reference front: of the equations in µm/s, below errors against it at each step.",
    }
    picture = figures(
        "steps",
        "Speed against the time step",
        "Left: speed; right: error against the equations at the same step (shaded: the goal).",
    )
    return section("steps", "headline", title, text, table, [picture])


def _two(value: float) -> str:
    return f"{value:.2f}"


def recovery(results: Results, figures: Figures) -> dict[str, Any]:
    """Paired stimuli."""
    title = "Recovery"
    names = _known(results, "recovery")
    if not names:
        return section("recovery", "headline", title, [_missing("part recovery")])
    rows = [[CHANNELS[name], fine(hybrid(results, name, "recovery", "nrmse"))] for name in names]
    first = hybrid(results, names[0], "recovery")
    gaps, expected = first["gap_s"], first["expected"]
    text = [
        f"A second stimulus follows the first after {quantity(gaps[0])} to {quantity(gaps[-1])} s, in a cell whose "
        "plasma membrane is threefold stronger so that it returns to rest. The response is "
        f"{value_range(expected, _two)} of the first one over these gaps. Two things recover: "
        "the store, which the cable knows, and the refractory receptors, which the channel has to remember.",
    ]
    closure, network = (hybrid(results, name, "recovery", "nrmse") for name in ("two_state", HEADLINE))
    if is_number(closure) and is_number(network):
        nearer = "network is nearer" if network < closure else "two-state closure is nearer"
        text.append(f"With 5 unknowns the {nearer}: {fine(network)} by network, {fine(closure)} by closure.")
    table = {"columns": ["In the cable", *numeric_columns("NRMSE of the curve")], "rows": rows, "caption": ""}
    picture = figures(
        "recovery", "Recovery of the second response", "Rise of calcium half-way along, second over first stimulus."
    )
    return section("recovery", "headline", title, text, table, [picture])


def thresholds(results: Results, figures: Figures) -> dict[str, Any]:
    """Wave or no wave near the threshold ER radius."""
    title = "Wave or no wave"
    names = _known(results, "threshold")
    if not names:
        return section("threshold", "headline", title, [_missing("part threshold")])
    rows = []
    for name in names:
        found = hybrid(results, name, "threshold")
        shift = found.get("shift_um")
        rows.append(
            [
                CHANNELS[name],
                f"{found['found_um']:.4f}" if is_number(found.get("found_um")) else MISSING,
                f"{1e3 * shift:+.2f}".replace("-", "−") if is_number(shift) else MISSING,
                percent(found.get("agreement")),
            ]
        )
    first = hybrid(results, names[0], "threshold")
    text = [
        f"Below a radius of the ER of {quantity(first.get('expected_um'))} µm no wave runs to the end of a dendrite of "
        f"0.5 µm with these receptors. {count(first.get('runs'))} cables lie log-uniformly between 0.9 and 1.1 of it; "
        "agreement is the share in which hybrid and equations both make a wave or both do not.",
    ]
    table = {
        "columns": ["In the cable", *numeric_columns("Threshold, µm", "Shift, nm", "Agreement")],
        "rows": rows,
        "caption": "",
    }
    picture = figures(
        "thresholds",
        "The threshold with each channel",
        "Left: its shift (shaded: what was asked, and the goal); right: the runs, filled where a wave passed.",
    )
    return section("threshold", "headline", title, text, table, [picture])


def hybrid_sections(results: Results, figures: Figures) -> list[dict[str, Any]]:
    """The sections in the order of the paper."""
    parts = (closed_loop, heldout, steps, recovery, thresholds)
    return [part(results, figures) for part in parts]
