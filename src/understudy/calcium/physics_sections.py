"""Sections of the calcium study about the reference physics, and about where one dimension is enough."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from understudy.calcium.goals import EXPECTED_ORDERS, fine, times
from understudy.report.numbers import MISSING, count, is_number, percent, quantity
from understudy.report.wording import Figures, absent, inside, listed, numeric_columns, section, signed_percent

Results = Mapping[str, Any]

_VALID = 0.05
"""Largest error of speed up to which a cable stands for a dendrite (choice)."""


def reference(results: Results, figures: Figures) -> dict[str, Any]:
    """The solver against independent ones, theory and conservation."""
    title = "The reference physics"
    found = inside(results.get("verification"), "benchmarks")
    if not found:
        return section("reference", "physics", title, [absent("verification.json with benchmarks")])
    rows: list[Any] = []
    front = found.get("front") or {}
    if front:
        rows.append({"part": "Speed of the reference front, µm/s"})
    for at, entry in front.items():
        rows.append(
            [f"spacing {at} µm", f"{entry['speed']:.2f}" if is_number(entry.get("speed")) else MISSING,
             f"{entry['expected']:.2f}" if is_number(entry.get("expected")) else MISSING,
             signed_percent(entry.get("error"), 3)]
        )  # fmt: skip
    rxd = found.get("rxd") or {}
    if rxd:
        rows += [
            {"part": "The same equations in NEURON rxd"},
            ["speed", "", "", fine(rxd.get("speed_error"))],
            ["trace, NRMSE", "", "", fine(rxd.get("nrmse"))],
        ]
    orders = found.get("orders") or {}
    if orders:
        rows.append({"part": "Observed orders, manufactured solutions"})
        words = {"space": "space", "time": "time, Crank-Nicolson", "fallback_time": "time, fallback"}
        for key, order in EXPECTED_ORDERS.items():
            value = orders.get(key)
            apart = f"{value - order:+.3f}".replace("-", "−") if is_number(value) else MISSING
            rows.append([words[key], quantity(value), str(order), apart])
    if is_number(found.get("mass_drift")):
        rows += [{"part": "Conservation"}, ["drift of all calcium, closed cell with a wave", "", "",
                                            quantity(found["mass_drift"])]]  # fmt: skip
    bounds = found.get("bounds") or {}
    if bounds:
        rows.append(
            ["left [0, 1] or below zero, random weights and steps", quantity(bounds.get("violations")), "0",
             f"of {count(bounds.get('cases'))}"]
        )  # fmt: skip
    text = [
        "Cytosolic and ER calcium, calbindin and the Keizer-Levine receptors on a cable with a coaxial ER; finite "
        "volumes, staggered Crank-Nicolson with an L-stable fallback. At 1 µm the front is pinned in every solver, and "
        "at 0.5 µm it is a third too slow: the spacing belongs to every speed, and a warning says so.",
        "That the open probability stays in [0, 1] needs no training: the network answers with logarithms of rates, "
        "and with rates held a gate moves to a mean of its value and its aim, w g + (1 − w) g∞ with w = exp(−(a + b) "
        "dt). Both are probabilities, so their mean is one, whatever the weights and the step; the same holds for the "
        "chain of three states, whose propagator maps the simplex into itself.",
    ]
    timing = found.get("rxd_time") or {}
    if any(is_number(value) for value in timing.values()):
        text.append(
            f"The solver is {times(timing.get('one_cable'))} as fast as NEURON rxd on one cable, and "
            f"{times(timing.get('per_cable_of_64'))} per cable in a batch of 64, on one core at the same accuracy."
        )
    else:
        text.append("Not measured in this run: time of NEURON rxd.")
    table = {
        "columns": ["", *numeric_columns("Measured", "Expected", "Difference")],
        "rows": rows,
        "caption": "Expected speeds: LSODA's method of lines, with NEURON rxd within 0.01 %.",
    }
    picture = figures(
        "convergence",
        "Convergence",
        "Errors of manufactured solutions with the slopes of theory (dashed), and the reference front beside "
        "independent solvers.",
    )
    return section("reference", "physics", title, text, table if rows else None, [picture])


def validity(results: Results, figures: Figures) -> dict[str, Any]:
    """One dimension against two."""
    title = "Where one dimension is enough"
    found = inside(results.get("verification"), "benchmarks") or {}
    radii, grid = found.get("radii") or [], found.get("validity") or []
    if not radii and not grid:
        return section("validity", "physics", title, ["Not measured in this run: the dendrite in two dimensions."])
    text = [
        "The cable sees the mean calcium of a cross-section; receptors see that at their membrane. In a thin dendrite "
        "the two are the same, in a thick one they are not. The resolved dendrite (radius and length, the ER membrane "
        "as interface) tells where the cable may stand for it."
    ]
    both = [entry for entry in grid if is_number(entry.get("cable_speed")) and is_number(entry.get("dendrite_speed"))]
    if both:
        apart = [e for e in both if (e["cable_speed"] > 0) != (e["dendrite_speed"] > 0)]
        waves = [e for e in both if e["cable_speed"] > 0 and e["dendrite_speed"] > 0]
        good = [e for e in waves if abs(e["cable_speed"] / e["dendrite_speed"] - 1) <= _VALID]
        widest = max((e["radius_um"] for e in good), default=None)
        text.append(
            f"Of {count(len(both))} dendrites, {count(len(good))} have the same speed in both within "
            f"{percent(_VALID, 0)}"
            + (f", the thickest of them {widest:g} µm in radius" if widest is not None else "")
            + f"; in {count(len(apart))} a wave runs in one of the two models alone."
        )
    else:
        text.append("Not measured in this run: speeds of cable and resolved dendrite.")
    rows = []
    wrong = []
    for entry in sorted(radii, key=lambda e: (e["radius_um"], e["receptors_per_um2"])):
        value, cable = entry.get("found_um"), entry.get("cable_um")
        published = entry["published_um"]
        held = is_number(value) and abs(value - published) <= entry["allowed_um"] + 1e-12
        if is_number(cable) and abs(cable - published) > entry["allowed_um"]:
            wrong.append(f"{entry['radius_um']:g} µm")
        rows.append(
            [
                f"{entry['radius_um']:g}",
                f"{entry['receptors_per_um2']:g}",
                f"{published:g}",
                {"text": f"{value:.4f}" if is_number(value) else MISSING,
                 **({"mark": "better" if held else "worse"} if is_number(value) else {})},
                signed_percent(value / published - 1 if is_number(value) else None),
                f"{cable:.4f}" if is_number(cable) else MISSING,
            ]
        )  # fmt: skip
    if not radii:
        text.append("Not measured in this run: published threshold radii.")
    if wrong:
        at = listed(list(dict.fromkeys(wrong)))
        text.append(f"By the published thresholds the cable model is wrong, as it must be, at radii of {at}.")
    table = {
        "columns": [
            "Radius, µm", "Receptors per µm²",
            *numeric_columns("Published, µm", "Resolved, µm", "Difference", "Cable, µm"),
        ],
        "rows": rows,
        "caption": "Least ER radius for a wave. Published: Breit & Queisser 2018, two dimensions, bisected to 0.001 "
        "µm. ✓ within 5 % or 0.002 µm.",
    }  # fmt: skip
    picture = figures(
        "validity",
        "One dimension against two",
        "Left: error of the cable's speed, ER half as wide as the dendrite (cross: a wave in one model alone). Right: "
        "least ER radius for a wave.",
    )
    return section("validity", "physics", title, text, table if rows else None, [picture])


def physics_sections(results: Results, figures: Figures) -> list[dict[str, Any]]:
    """The sections in the order of the paper."""
    return [reference(results, figures), validity(results, figures)]
