"""The TMS study told as a paper: its own sections of the report, from the contents of its result files.

Pure functions of plain data. What a run did not measure is said where it would stand; nothing is left out silently.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from understudy.report.goals import Goal, goals_table
from understudy.report.numbers import MISSING, count, is_number, percent, quantity, score
from understudy.report.wording import Figures, absent, inside, listed, numeric_columns, section, value_range
from understudy.tms.goals import LEAST_UNIFORM_MAPE, NAMES
from understudy.tms.map_sections import maps
from understudy.tms.model_figures import MODELS
from understudy.tms.physics_sections import physics_sections

Results = Mapping[str, Any]
Facts = Mapping[str, Any]

PUBLISHED_CELLS, PUBLISHED_THRESHOLDS = 15, 5000
"""The scale for which the goals were set: synthetic cells, and thresholds of each."""

SETS = {"random": "Held-out patches and placements", "second_head": "Second head"}
_CELL_MODELS = ("network", "network_per_cell", "published_network", "uniform_gradient", "uniform_map")


def _points(value: Any) -> str:
    """A difference of two per cents, with its sign, in points."""
    if not is_number(value):
        return MISSING
    return f"{100 * value:+.2f}".replace("-", "−")


def _types(facts: Facts) -> list[str]:
    """Types of cells of the run, in the order of tables."""
    found = {cell["type"] for cell in facts["cells"]}
    return [kind for kind in NAMES if kind in found]


def headline(goals: Sequence[Goal], facts: Facts) -> dict[str, Any]:
    """What was asked, what was published, and what was measured."""
    text = [
        "What was asked of the study before it was run, what is published, and what was measured here. Published "
        "values are those of other cells, another head and other coil placements; they set the scale and are no "
        "like-for-like comparison. The published R² is a squared correlation, blind to bias; ours is 1 − SSE/SST.",
        "MAPE is the mean of |predicted − simulated|/simulated over held-out cases. What a value reached is said by "
        "colour and sign, type by type: ✓ the goal, = what was asked at least, ✗ missed, ? not measured or not to be "
        "judged.",
    ]
    synthetic = [cell for cell in facts["cells"] if cell["source"] == "synthetic"]
    each = min(facts["per_cell"].values(), default=0)
    if len(synthetic) < PUBLISHED_CELLS or each < PUBLISHED_THRESHOLDS:
        text.append(
            f"The goals were set for {PUBLISHED_CELLS} synthetic cells and at least {count(PUBLISHED_THRESHOLDS)} "
            f"thresholds of each. This run has {count(len(synthetic))} and, of the cell with the fewest, "
            f"{count(each)}; so it shows the method rather than the result."
        )
    table = goals_table(goals, list(NAMES.values()))
    table["caption"] = (
        "Uniform map: thresholds of uniform fields by direction, on a grid of directions, divided by |E| at the soma. "
        "Speed counts everything from a field in memory to a threshold: field sampling, linear response and network."
    )
    return section("goals", "headline", "The headline comparison", text, table)


def _claims(results: Results, subset: str, kinds: Sequence[str]) -> str:
    """The uniform map's error on a set in words, and for which types the set can support no claim."""
    errors = {
        kind: inside(results.get("comparison"), "sets", subset, "types", kind, "models", "uniform_map", "mape")
        for kind in kinds
    }
    known = {kind: value for kind, value in errors.items() if is_number(value)}
    if not known:
        return f"{SETS[subset]}: the uniform map's error is not measured, so the set cannot support a claim."
    shown = ", ".join(f"{NAMES[kind]} {percent(value)}" for kind, value in known.items())
    easy = [NAMES[kind] for kind, value in known.items() if value < LEAST_UNIFORM_MAPE]
    verdict = (
        f" Below {percent(LEAST_UNIFORM_MAPE, 0)} a set is too easy to tell models apart: for {listed(easy)} it cannot "
        "support a claim."
        if easy
        else f" All are at or above {percent(LEAST_UNIFORM_MAPE, 0)}, so the set can tell models apart."
    )
    return f"{SETS[subset]}: the uniform map errs by {shown}.{verdict}"


def _compared(entry: Mapping[str, Any] | None, model: str) -> dict[str, str]:
    """One model on one type of cell: its MAPE, R2, and the network's difference with the paired interval."""
    errors = inside(entry, "models", model) or {}
    cell = {"text": percent(errors.get("mape"), 2), "note": f"R² {score(errors.get('r2'))}"}
    difference = inside(entry, "paired", "network", model, "difference") or {}
    low, high = difference.get("low"), difference.get("high")
    if is_number(low) and is_number(high):
        cell["note"] += f"; {_points(difference['value'])} ({_points(low)} to {_points(high)})"
        cell["mark"] = "better" if high < 0 else "worse" if low > 0 else "equal"
    elif is_number(difference.get("value")):
        cell["note"] += f"; {_points(difference['value'])}, not judged: one group"
    return cell


def models(facts: Facts, results: Results, figures: Figures) -> dict[str, Any]:
    """The network, the published one and the baselines, by type of cell, on the same cases."""
    title = "Models compared by type of cell"
    found = results.get("comparison")
    if not found:
        return section("models", "worth", title, [absent("comparison.json")])
    kinds, sets = _types(facts), found.get("sets") or {}
    text = [
        "All models were judged on the same held-out cases with the pulse "
        f"{str(found.get('pulse') or MISSING).replace('_', ' ')}, and those that are fitted saw the same training "
        "patches and placements. The network sees, for the axon terminals that a field depolarises most, their linear "
        "polarisation and what they are like; nothing names cell, place or pulse. The published network, a 3D CNN on a "
        "9 × 9 × 9 cube of field vectors, the uniform map, uniform plus gradient and the ridge on the field's "
        "divergence-free polynomial are made cell by cell; linear polarisation and boosted trees see the same "
        "terminals as the network.",
        "Models of the field know one pulse and are fitted to the training cases with it; the network, linear "
        "polarisation and boosted trees are fitted to cases with every trained pulse, which are more. The published "
        "network is built from the defaults of its public code: its authors' final settings and length of training are "
        "not known, so it stands for the method and not for their weights.",
        *(_claims(results, name, kinds) for name in SETS if name in sets),
        *(f"{SETS[name]}: not measured in this run." for name in SETS if name not in sets),
    ]
    rows: list[Any] = []
    for name, words in SETS.items():
        if name not in sets:
            continue
        entry = sets[name]
        rows.append({"part": f"{words}: {count(entry.get('n'))} cases, {count(entry.get('groups'))} placements"})
        for model, label in MODELS.items():
            if any(inside(entry, "types", kind, "models", model) for kind in kinds):
                rows.append([label, *(_compared(inside(entry, "types", kind), model) for kind in kinds)])
    table = {
        "columns": ["Model", *numeric_columns(*(f"{NAMES[kind]}, MAPE" for kind in kinds))],
        "rows": rows,
        "caption": "Below each MAPE: R², then the MAPE of the one network for all cells less that of the model, in "
        "points of per cent, with the 95 % interval of a paired bootstrap over placements. ✓ the network is better by "
        "the whole interval, = no difference shown, ✗ the model of this row is better.",
    }
    picture = figures(
        "models",
        "Error by model and type of cell",
        "Mean absolute relative error of thresholds, logarithmic; further left is better.",
    )
    return section("models", "worth", title, text, table if rows else None, [picture])


def by_cell(facts: Facts, results: Results) -> dict[str, Any]:
    """Errors cell by cell."""
    title = "Cell by cell"
    found = inside(results.get("comparison"), "sets", "random", "cells")
    if not found:
        return section("by-cell", "accuracy", title, [absent("comparison.json")])
    known = [model for model in _CELL_MODELS if any(model in errors for errors in found.values())]
    rows: list[Any] = []
    for kind in _types(facts):
        rows.append({"part": NAMES[kind]})
        for cell in facts["cells"]:
            if cell["type"] == kind and cell["name"] in found:
                source = "synthetic" if cell["source"] == "synthetic" else f"reconstructed, {cell['source']}"
                errors = found[cell["name"]]
                rows.append(
                    [
                        {"text": cell["name"], "note": source},
                        *(percent(errors.get(model), 2) for model in known),
                    ]
                )
    worst = max((value for errors in found.values() if is_number(value := errors.get("network"))), default=None)
    text = [
        f"One network for all cells errs by {value_range([e.get('network') for e in found.values()], _fine)} from cell "
        f"to cell on held-out patches and placements; the worst cell has {_fine(worst)}."
    ]
    floor = results.get("floor") or {}
    if is_number(floor.get("mape")):
        text.append(
            f"The simulation itself moves by {percent(floor['mape'], 2)} on average when a cell is moved by "
            f"{quantity(floor.get('moved_um'))} µm, a distance nobody could know ({count(floor.get('thresholds'))} "
            "held-out thresholds). Errors below that mean nothing in practice."
        )
    table = {
        "columns": ["Cell", *numeric_columns(*(MODELS[model] for model in known))],
        "rows": rows,
        "caption": "MAPE on held-out patches and placements, headline pulse.",
    }
    return section("by-cell", "accuracy", title, text, table)


def _fine(value: Any) -> str:
    return percent(value, 2)


def population(facts: Facts, results: Results, figures: Figures) -> dict[str, Any]:
    """Medians over clones and azimuths of one position."""
    title = "Median of a population"
    found = inside(results.get("comparison"), "sets", "random", "population")
    if not found:
        return section(
            "population", "accuracy", title, ["Not measured in this run: no position holds a population of cells."]
        )
    kinds = [kind for kind in _types(facts) if kind in found]
    rows = []
    for model, label in MODELS.items():
        entries = [inside(found, kind, "models", model) or {} for kind in kinds]
        if any(entries):
            rows.append(
                [
                    label,
                    *(
                        {
                            "text": _fine(entry.get("mape")),
                            "note": f"95 % of positions below {_fine(entry.get('p95_ape'))}",
                        }
                        for entry in entries
                    ),
                ]
            )
    positions = ", ".join(f"{NAMES[kind]} {count(inside(found, kind, 'positions'))}" for kind in kinds)
    text = [
        "What is mapped in practice is the median threshold (in A/µs) over the clones and azimuths of one type at one "
        f"position. Positions with at least six cases: {positions}. Errors of single cells partly cancel in it."
    ]
    table = {
        "columns": ["Model", *numeric_columns(*(f"{NAMES[kind]}, MAPE" for kind in kinds))],
        "rows": rows,
        "caption": "Errors of the population's median on held-out patches and placements. Published range of the "
        "median per-cent error of a position in the test head: CNN −23.7 to +37.1 (L2/3), −3.4 to +6.6 (L4), −2.0 to "
        "+3.5 (L5); uniform map −32 to +97, −30 to +39, −28 to +50.",
    }
    picture = figures(
        "population",
        "Single cells and the median of the population",
        "Mean absolute relative error of the median over clones and azimuths at a position, and of single cells.",
    )
    return section("population", "accuracy", title, text, table, [picture])


def beyond(facts: Facts, results: Results) -> dict[str, Any]:
    """What nothing was trained on: another head, another pulse, reconstructed cells."""
    comparison, kinds = results.get("comparison"), _types(facts)
    rows: list[Any] = [{"part": "By type of cell, one network for all"}]
    for name, words in (*SETS.items(), ("unseen_pulse", "A pulse never trained on")):
        cells: list[Any] = [words if name != "unseen_pulse" else {"text": words, "note": facts["unseen_pulse"]}]
        for kind in kinds:
            if name == "unseen_pulse":
                entry = inside(facts, "unseen", kind) or {}
                cells.append(
                    {
                        "text": _fine(entry.get("mape")),
                        "note": f"linear polarisation {percent(entry.get('linear_polarisation'))}",
                    }
                )
                continue
            found = inside(comparison, "sets", name, "types", kind, "models") or {}
            uniform = inside(found, "uniform_map", "mape")
            note = f"uniform map {percent(uniform)}"
            if is_number(uniform) and uniform < LEAST_UNIFORM_MAPE:
                note += ": too easy"
            cells.append({"text": _fine(inside(found, "network", "mape")), "note": note})
        rows.append(cells)
    left_out = inside(comparison, "left_out_cells") or {}
    if left_out:
        rows.append({"part": "Reconstructed cells that nothing was trained on, morphology as input"})
        for name, entry in sorted(left_out.items()):
            error = f"bias {_points(entry.get('bias'))} %; {count(entry.get('n'))} cases"
            rows.append([name, {"text": _fine(entry.get("mape")), "note": error, "span": len(kinds)}])
    text = [
        "The second head is the template warped, scaled and with other thicknesses and conductivities, and its patches "
        "lie in the hemisphere that nothing is trained on. The unseen pulse has its own linear responses, which the "
        "network is given as inputs, and no threshold of it is in the training data. The uniform map is made for the "
        "headline pulse; thresholds of the unseen pulse have no such map, and linear polarisation is the yardstick.",
    ]
    if not left_out:
        text.append(
            "Not measured in this run: an unseen reconstructed cell. It has no reconstructed cell, or the comparison "
            "was not run."
        )
    if not any(inside(facts, "unseen", kind) for kind in kinds):
        text.append("Not measured in this run: thresholds with a pulse never trained on.")
    table = {
        "columns": ["Set", *numeric_columns(*(f"{NAMES[kind]}, MAPE" for kind in kinds))],
        "rows": rows,
        "caption": "For a reconstructed cell the network was trained anew on all other cells.",
    }
    return section("beyond", "accuracy", "Beyond the training data", text, table)


def study_sections(goals: Sequence[Goal], facts: Facts, results: Results, drawn: Sequence[str]) -> list[dict[str, Any]]:
    """All sections in the order of the paper; the page places them by slot.

    Parameters
    ----------
    goals : see `understudy.tms.goals`.
    facts : see `understudy.tms.presentation.presentation`.
    results : contents of the result files by name: ``metrics``; and, each None where the run has it not,
        ``comparison``, ``floor``, ``verification``, ``deployment``.
    drawn : names of the figures that were drawn.
    """
    figures = Figures(drawn)
    return [
        headline(goals, facts),
        by_cell(facts, results),
        population(facts, results, figures),
        beyond(facts, results),
        models(facts, results, figures),
        maps(results, figures),
        *physics_sections(facts, results, figures),
    ]
