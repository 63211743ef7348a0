"""Section of the TMS study about the surrogate in use: thresholds over a hemisphere, and what they cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from understudy.report.numbers import MISSING, count, duration, is_number, many, percent
from understudy.report.wording import Figures, absent, inside, numeric_columns, section


def _placement(deployment: Mapping[str, Any]) -> str:
    """The coil placement of the maps in words."""
    name = str(deployment.get("placement") or "one coil placement")
    return name.replace("second_head", "second-head").replace("heldout", "held-out")


def maps(results: Mapping[str, Any], figures: Figures) -> dict[str, Any]:
    """Thresholds over a hemisphere, and what they cost."""
    deployment = results.get("deployment") or {}
    timing = inside(results.get("verification"), "timing") or {}
    own = deployment.get("seconds_per_case")
    title = "Threshold maps of a hemisphere"
    text = []
    if is_number(deployment.get("n")):
        outside, flagged = deployment.get("outside"), deployment.get("flagged_share")
        text.append(
            f"{count(deployment['n'])} thresholds were predicted: {count(deployment.get('cells'))} cells at "
            f"{count(deployment.get('vertices'))} vertices of the hemisphere in "
            f"{count(deployment.get('azimuths'))} azimuths each, under {_placement(deployment)}, in "
            f"{duration(deployment.get('seconds'))} on {count(deployment.get('threads'))} thread"
            f"{'' if deployment.get('threads') == 1 else 's'} ({deployment.get('device') or MISSING}), sampling of the "
            "field included. Maps lie beside this page as GIFTI, one file for each type."
        )
        text.append(
            f"Left out because the field is not known where the cell lies: {count(outside)}. Of the predictions, "
            f"{percent(flagged)} are flagged as unlike the training data."
            if is_number(outside)
            else f"{percent(flagged)} of the predictions are flagged as unlike the training data."
        )
    else:
        text.append(absent("deployment.json"))
    rows: list[Any] = [{"part": "Surrogate, one threshold"}]
    cases = deployment.get("n")
    for key, words in (
        ("field_sampling_s", "field sampling"),
        ("features_s", "linear response of terminals"),
        ("network_s", "network and interval"),
    ):
        seconds = deployment.get(key)
        rows.append([words, duration(seconds / cases) if is_number(seconds) and is_number(cases) else MISSING, ""])
    rows += [["all", duration(own), "1"], {"part": "Simulation, one threshold, one core"}]
    for key, words in (
        ("engine_s_per_threshold", "our batched engine"),
        ("injection_s_per_threshold", "NEURON, equivalent axial currents"),
        ("script_s_per_threshold", "NEURON, usual extracellular script"),
    ):
        seconds = timing.get(key)
        ratio = seconds / own if is_number(seconds) and is_number(own) and own > 0 else None
        rows.append([words, duration(seconds), f"{many(ratio)} ×" if ratio else MISSING])
    if is_number(timing.get("threshold_difference")):
        text.append(
            "Thresholds that the simulations found while they were timed differ by "
            f"{percent(timing['threshold_difference'], 3)}."
        )
    farmed = deployment.get("seconds_per_case_direct")
    if is_number(farmed) and is_number(own) and own > 0:
        text.append(
            f"A threshold of the ground truth took {duration(farmed)} of one core, {many(farmed / own)} times the "
            "surrogate's, with all the work of that stage: sampling of the field, what surrogates are given, every "
            "pulse, and the setup of each cell, which weighs in a small run. Its search starts at an estimate from the "
            "linear response of terminals. The engine below was timed alone, on given potentials and from the "
            "published start, as NEURON beside it."
        )
    table = {
        "columns": ["", *numeric_columns("Time", "Over the surrogate")],
        "rows": rows,
        "caption": "Elapsed time. Engine and NEURON were timed on a few thresholds when the study was verified.",
    }
    picture = figures(
        "map",
        "Field, threshold and interval over the hemisphere",
        "From the outside and above. Median over clones and azimuths at each vertex; the threshold scale is "
        "logarithmic and starts at the lowest thresholds. Circle and line: centre of the coil and its handle. Grey: no "
        "cell whose field is known.",
    )
    return section("maps", "use", title, text, table, [picture])
