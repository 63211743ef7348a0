"""Sections of the TMS study about what was simulated: cells, sites of spikes, strength-duration, heads and fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from understudy.report.numbers import MISSING, count, is_number, percent, quantity
from understudy.report.wording import Figures, absent, inside, numeric_columns, section, signed_percent, value_range
from understudy.tms.gate import LARGEST_TO_SMALLEST, MEDIAN_V_PER_M, MINIMUM_V_PER_M
from understudy.tms.goals import NAMES
from understudy.tms.threshold_figures import PUBLISHED_RANGES, PUBLISHED_SHORT_TO_LONG, NEAR_TERMINAL_um

_SITES = {
    "node": "Node of Ranvier",
    "unmyelinated": "Unmyelinated axon",
    "myelin": "Myelin",
    "axon_initial": "Initial segment",
    "soma": "Soma",
}


def _whole(value: Any) -> str:
    return f"{value:.0f}" if is_number(value) else MISSING


def _ends(values: list[Any]) -> str:
    known = [value for value in values if is_number(value)]
    return f"{min(known):.0f}–{max(known):.0f}" if known else MISSING


def cells(facts: Mapping[str, Any], figures: Figures) -> dict[str, Any]:
    """The cells, and the gate that accepted them."""
    rows: list[Any] = []
    for kind, words in NAMES.items():
        own = [cell for cell in facts["cells"] if cell["type"] == kind]
        if not own:
            continue
        rows.append({"part": words})
        for cell in own:
            low, middle, high = cell["gate"]
            ratio = high / low if is_number(low) and is_number(high) and low > 0 else None
            synthetic = cell["source"] == "synthetic"
            rows.append(
                [
                    {"text": cell["name"], "note": "synthetic" if synthetic else f"reconstructed, {cell['source']}"},
                    *(_whole(value) for value in (low, middle, high)),
                    f"{ratio:.1f}" if ratio else MISSING,
                    count(cell["rejected"]) if synthetic else {"text": MISSING, "note": "no gate"},
                ]
            )
        published = list(zip(*PUBLISHED_RANGES[kind], strict=True))
        ratios = [high / low for low, _, high in PUBLISHED_RANGES[kind]]
        rows.append(
            [
                {"text": "Published cells", "note": "range over five"},
                *(_ends(list(values)) for values in published),
                f"{min(ratios):.1f}–{max(ratios):.1f}",
                MISSING,
            ]
        )
    synthetic = [cell for cell in facts["cells"] if cell["source"] == "synthetic"]
    rejected = sum(cell["rejected"] for cell in synthetic)
    text = [
        "Synthetic cells grow from statistics of reconstructions that were fixed before any threshold was looked at, "
        "with complete axon arbours; they are scaled to the adult human and myelinated by published rules. A cell is "
        "accepted if, over the directions of a uniform field (398 on the published grid), its lowest threshold lies "
        f"in {MINIMUM_V_PER_M[0]:g}–{MINIMUM_V_PER_M[1]:g} V/m, its median in "
        f"{MEDIAN_V_PER_M[0]:g}–{MEDIAN_V_PER_M[1]:g} V/m and the ratio of largest to smallest in "
        f"{LARGEST_TO_SMALLEST[0]:g}–{LARGEST_TO_SMALLEST[1]:g}. {count(rejected)} candidate"
        f"{'' if rejected == 1 else 's'} {'was' if rejected == 1 else 'were'} rejected before "
        f"{count(len(synthetic))} {'was' if len(synthetic) == 1 else 'were'} accepted. Reconstructed cells are taken "
        "as they are.",
    ]
    missing = sum(cell.get("gate_missing", 0) for cell in facts["cells"])
    if missing:
        text.append(f"In {count(missing)} directions no threshold was found up to the limit; they are left out here.")
    table = {
        "columns": [
            "Cell",
            *numeric_columns("Minimum, V/m", "Median, V/m", "Maximum, V/m", "Largest/smallest", "Rejected"),
        ],
        "rows": rows,
        "caption": "Thresholds over the directions of a uniform field, headline pulse. Rejected: candidates generated "
        "for this place that the gate refused. Published: result files of the public code of Aberra et al. 2020.",
    }
    pictures = [
        figures(
            "cells", "All cells", "Seen from the side, pia upwards, all at one scale; before scaling to the human."
        ),
        figures(
            "gate",
            "Thresholds over directions of a uniform field",
            "Each line runs from the smallest to the largest threshold of a cell, the tick is its median. Shaded: the "
            "gate's range for the minimum; dashed: for the median.",
        ),
    ]
    return section("cells", "physics", "Cells and their gate", text, table, pictures)


def initiation(facts: Mapping[str, Any], figures: Figures) -> dict[str, Any]:
    """Where action potentials start."""
    title = "Where spikes start"
    found = {kind: shares for kind in NAMES if (shares := inside(facts, "initiation", kind))}
    if not found:
        return section("initiation", "physics", title, ["Not measured in this run: it has no threshold."])
    sites = [site for site in _SITES if any(shares.get(site) for shares in found.values())]
    rows = [
        [
            NAMES[kind],
            *(percent(shares.get(site)) for site in sites),
            percent(shares.get("at_terminal")),
            percent(shares.get("near_terminal")),
        ]
        for kind, shares in found.items()
    ]
    dendrites = [(shares.get("apical") or 0) + (shares.get("basal") or 0) for shares in found.values()]
    text = [
        "The site of a spike is the compartment that first crosses 0 mV at threshold. Within "
        f"{NEAR_TERMINAL_um:g} µm of an axon terminal start "
        f"{value_range([shares.get('near_terminal') for shares in found.values()], percent)} of the spikes, by type; "
        f"in dendrites {value_range(dendrites, percent)}."
    ]
    table = {
        "columns": [
            "Type",
            *numeric_columns(*(_SITES[site] for site in sites), "At a terminal", f"Within {NEAR_TERMINAL_um:g} µm"),
        ],
        "rows": rows,
        "caption": "Shares of all thresholds that were found, every pulse and set.",
    }
    picture = figures(
        "initiation",
        "Site of the first crossing",
        "Kind of compartment, and the way along the axon to the nearest terminal beyond it.",
    )
    return section("initiation", "physics", title, text, table, [picture])


def strength_duration(results: Mapping[str, Any], figures: Figures) -> dict[str, Any]:
    """Rectangular pulses beside the prediction of one pole."""
    title = "Strength and duration"
    found = inside(results.get("verification"), "strength_duration") or {}
    names = found.get("cells") or []
    if not names:
        return section("strength-duration", "physics", title, ["Not measured in this run: strength-duration."])
    widths = found["width_us"]
    short, long = 0, len(widths) - 1
    rows, residuals, ratios = [], [], []
    for number, name in enumerate(names):
        simulated, predicted = (found[key][number] for key in ("threshold_V_per_m", "predicted_V_per_m"))
        known = [
            p / s - 1 for s, p in zip(simulated, predicted, strict=True) if is_number(s) and is_number(p) and s > 0
        ]
        worst = max(known, key=abs, default=None)
        residuals.append(None if worst is None else abs(worst))
        cells: list[Any] = [name, _ratio(found["tau_ms"][number])]
        for s, p in zip(simulated, predicted, strict=True):
            cells.append({"text": _whole(s), "note": f"one pole {_whole(p)}"})
        both = [
            values[short] / values[long] if is_number(values[short]) and is_number(values[long]) else None
            for values in (simulated, predicted)
        ]
        ratios.append(both[0])
        cells += [{"text": _ratio(both[0]), "note": f"one pole {_ratio(both[1])}"}, signed_percent(worst)]
        rows.append(cells)
    low, high = PUBLISHED_SHORT_TO_LONG
    text = [
        "If a terminal answers to the field like one low-pass of time constant τ, the threshold of any pulse is "
        "proportional to the inverse of the largest value that the low-passed pulse reaches. τ was fitted to the "
        f"thresholds of rectangular pulses, one cell at a time; the largest residual is "
        f"{value_range(residuals, percent)} of the threshold.",
        f"The ratio of the thresholds of {quantity(widths[short])} and {quantity(widths[long])} µs is "
        f"{value_range(ratios, _ratio)} here. Published cells have {low:g}–{high:g} for recorded pulses of a device, "
        "which are no ideal rectangles; with ideal ones, one pole of 0.17–0.26 ms gives 3.1–3.4.",
    ]
    table = {
        "columns": [
            "Cell",
            *numeric_columns("τ, ms", *(f"{quantity(width)} µs, V/m" for width in widths)),
            *numeric_columns("Shortest/longest", "Worst residual"),
        ],
        "rows": rows,
        "caption": "Thresholds of rectangular pulses in a uniform field.",
    }
    picture = figures(
        "strength_duration",
        "Strength-duration with the one-pole prediction",
        "Points: simulated; lines: one pole, fitted to each cell. Right: what the one pole leaves.",
    )
    return section("strength-duration", "physics", title, text, table, [picture])


def _ratio(value: Any) -> str:
    return f"{value:.2f}" if is_number(value) else MISSING


def heads_and_fields(facts: Mapping[str, Any], results: Mapping[str, Any], figures: Figures) -> dict[str, Any]:
    """The heads, the fields in them, and how far the fields are from uniform and from linear."""
    rows: list[Any] = []
    beyond: list[Any] = []
    for name, words in (("random", "Held-out patches and placements"), ("second_head", "Second head")):
        found = inside(results.get("comparison"), "sets", name, "field") or {}
        if found:
            rows.append({"part": words})
        for kind in NAMES:
            if kind in found:
                keys = ("beyond_uniform", "beyond_linear", "beyond_second_order")
                rows.append([NAMES[kind], *(percent(found[kind].get(key), 2) for key in keys)])
                beyond.append(found[kind].get("beyond_uniform"))
    drawn, refused = (sum(facts["positions"][key].values()) for key in ("drawn", "refused"))
    text = [
        "The field of the coil is solved in the whole head, scalp to white matter, and again on a finer grid in a box "
        "around the patch, with grey and white matter from the pial and white surfaces. A cell sees the field through "
        "its quasi-potential, sampled along its whole arbour within tissue.",
        f"Of {count(drawn)} positions drawn, {count(refused)} ({percent(refused / drawn if drawn else None)}) were "
        "refused because too much of the cell lay outside grey and white matter, and drawn anew: "
        + "; ".join(
            f"{NAMES.get(kind, kind)} {percent(facts['positions']['refused'][kind] / total if total else None)}"
            for kind, total in facts["positions"]["drawn"].items()
        )
        + f". Cases without a threshold up to the limit: {count(facts['not_found'])}.",
    ]
    if rows:
        text.append(
            "How much of the field a surrogate has to know is seen from what simple fields leave: in the cube around "
            f"the cell, {value_range(beyond, lambda value: percent(value, 2))} of the mean square lies beyond a "
            "uniform field, by type and set."
        )
    else:
        text.append(f"Shares of the field beyond uniform and beyond linear: {absent('comparison.json').lower()}")
    table = {
        "columns": ["Type", *numeric_columns("Beyond uniform", "Beyond linear", "Beyond second order")],
        "rows": rows,
        "caption": "Median share of the mean square field in the published network's cube that a divergence-free "
        "polynomial of that order, fitted by least squares, leaves.",
    }
    pictures = [
        figures(
            "head",
            "The head that is trained on and the second one",
            "Tissues in three slices; circles: centres of patches within 12 mm of the slice.",
        ),
        figures(
            "fields",
            "Field strength around a held-out patch",
            "In grey and white matter, for 1 A/µs. Arrows: its part in the slice; cross: centre of the patch.",
        ),
    ]
    return section("fields", "physics", "Heads and fields", text, table if rows else None, pictures)


def physics_sections(facts: Mapping[str, Any], results: Mapping[str, Any], figures: Figures) -> list[dict[str, Any]]:
    """The sections in the order of the paper."""
    return [
        cells(facts, figures),
        initiation(facts, figures),
        strength_duration(results, figures),
        heads_and_fields(facts, results, figures),
    ]
