"""The calcium study told as a paper: its own sections of the report, from the contents of its result files.

Pure functions of plain data. What a run did not measure is said where it would stand; nothing is left out silently.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from understudy.calcium import closures
from understudy.calcium.channel_sections import channel_sections
from understudy.calcium.goals import (
    CHANNELS,
    HEADLINE,
    LEAST_CASES,
    LEAST_CONDITIONED,
    fine,
    hybrid,
    times,
)
from understudy.calcium.hybrid_sections import hybrid_sections
from understudy.calcium.map_sections import maps
from understudy.calcium.physics_sections import physics_sections
from understudy.report.goals import Goal, goals_table
from understudy.report.numbers import count, duration, is_number, quantity
from understudy.report.wording import Figures, absent, inside, listed, numeric_columns, section

Results = Mapping[str, Any]

VALUES = ("Measured", "", "", "", "", "")
"""Columns that the measured values of a goal share: one, two or three of them."""


def headline(goals: Sequence[Goal], results: Results) -> dict[str, Any]:
    """What was asked, and what was measured."""
    text = [
        "What was asked of the study before it was run, and what was measured. Comparisons are with the receptors' "
        "equations, solved in the same scheme on the same grid, and with NEURON; the published paper's own numbers "
        "could not be read. ✓ the goal, = what was asked at least, ✗ missed, ? not measured or not to be judged.",
        "Rows of the whole hybrid speak of the network with 5 unknowns per node, the least with which the slow "
        "refractory state can be remembered; all stored numbers count, and the receptors' equations have 6.",
    ]
    heldout = hybrid(results, HEADLINE, "heldout") or {}
    n, conditioned = heldout.get("n"), heldout.get("n_conditioned")
    if not (is_number(n) and n >= LEAST_CASES and is_number(conditioned) and conditioned >= LEAST_CONDITIONED):
        text.append(
            f"The goals ask for {LEAST_CASES} held-out parameter sets, {LEAST_CONDITIONED} of them preconditioned so "
            f"that the one-state closure errs. This run has {count(n)} and {count(conditioned)}; so it shows the "
            "method rather than the result."
        )
    if closures.closures_win(results):
        text.append(
            "An analytic closure wins some comparisons; the table of closures and networks below says which. Where a "
            "closure is known and wins, it is the better choice, and the network's case is where none is known: other "
            "channels, observations and designed channels."
        )
    return section("goals", "headline", "The headline comparison", text, goals_table(goals, VALUES))


def against_closures(results: Results) -> dict[str, Any]:
    """Networks beside the analytic closures."""
    title = "Networks against analytic closures"
    table = closures.table(results)
    if table is None:
        return section("closures", "headline", title, [absent("hybrid.json")])
    text = [
        "The receptors' equations can be closed by hand: with the slow state frozen and the second open state slaved "
        "(one state, 4 unknowns), or with the slow state kept (two states, 5 unknowns). These closures know the "
        "constants; a network has to learn them. They are what a network must be held against here.",
        *closures.in_words(results),
    ]
    if closures.closures_win(results):
        text.append(
            "Where an analytic closure wins, use it: a network then earns its place where no closure is known, that is "
            "with other channels, with observations in place of equations, and with designed channels."
        )
    costs = {name: inside(results.get("hybrid"), "cost", name) for name in CHANNELS}
    known = [f"{CHANNELS[n]} {times(c.get('median'))}" for n, c in costs.items() if c and is_number(c.get("median"))]
    if known:
        text.append(f"Time of a step, in a batch of cables on one core, over that of the equations: {listed(known)}.")
    return section("closures", "headline", title, text, table)


def networks(results: Results) -> dict[str, Any]:
    """The networks that went into the cable, and their errors in open loop."""
    title = "The networks in the cable"
    found = inside(results.get("training"), "networks") or []
    if not found:
        return section("networks", "accuracy", title, [absent("training.json")])
    families = list(dict.fromkeys(name for entry in found for name in entry.get("errors") or {}))
    families.sort(key=lambda name: (name != "all", name))
    rows = []
    for entry in found:
        words = f"{quantity(entry.get('unknowns'))} unknowns, seed {quantity(entry.get('seed'))}"
        taught = "waves alone" if entry.get("families") == "waves" else "all families"
        rows.append(
            [
                {"text": words, "note": taught},
                count(entry.get("weights")),
                duration(entry.get("seconds")),
                *(fine(inside(entry, "errors", name)) for name in families),
            ]
        )  # fmt: skip
    text = [
        "What the shared machine judges above are logarithms of rates at single moments. A small error of a rate can "
        "matter or not; so each network is trained on over whole courses of calcium, and judged here by its open "
        "probability over courses that it never saw, from their beginning.",
    ]
    table = {
        "columns": ["Network", *numeric_columns("Weights", "Training", *families)],
        "rows": rows,
        "caption": "NRMSE of the open probability on held-out courses, by family, over its range 0 to 1.",
    }
    return section("networks", "accuracy", title, text, table)


def study_sections(goals: Sequence[Goal], results: Results, drawn: Sequence[str]) -> list[dict[str, Any]]:
    """All sections in the order of the paper; the page places them by slot.

    Parameters
    ----------
    goals : see `understudy.calcium.goals`.
    results : contents of the result files by name, each None where the run has it not: ``metrics``, ``floor``,
        ``training``, ``hybrid``, ``channels``, ``design``, ``deployment``, ``verification``.
    drawn : names of the figures that were drawn.
    """
    figures = Figures(drawn)
    return [
        headline(goals, results),
        *hybrid_sections(results, figures),
        against_closures(results),
        networks(results),
        *channel_sections(results, figures),
        maps(results, figures),
        *physics_sections(results, figures),
    ]
