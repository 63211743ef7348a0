"""Section of the calcium study about the hybrid in use: waves over density and ER radius, and what they cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from understudy.calcium.goals import COMPACT
from understudy.report.numbers import count, duration, is_number, percent
from understudy.report.wording import Figures, absent, section

Results = Mapping[str, Any]


def maps(results: Results, figures: Figures) -> dict[str, Any]:
    """A sweep of cables with the network in them."""
    title = "A map of waves"
    found, shape = results.get("deployment") or {}, results.get("map") or {}
    if not is_number(found.get("n")):
        return section("map", "use", title, [absent("deployment.json")])
    threads, unknowns = found.get("threads"), str(shape.get("channel") or COMPACT)[3:]
    on_gpu = found.get("device") == "cuda"
    where = "a GPU" if on_gpu else f"{count(threads)} thread{'' if threads == 1 else 's'}"
    how = "on one thread of the processor" if on_gpu else "in the same solver"
    text = [
        f"{count(found['n'])} cables with other receptor densities and ER radii were simulated with the network with "
        f"{unknowns} unknowns in {duration(found.get('seconds'))} on {where}, "
        f"{duration(found.get('seconds_per_case'))} for each; with the equations a cable takes "
        f"{duration(found.get('seconds_per_case_direct'))}, measured on a subset {how}."
    ]
    own, direct = found.get("seconds_per_case"), found.get("seconds_per_case_direct")
    if is_number(own) and is_number(direct) and own > direct:
        text.append(
            "The network is slower than the equations here: they are few and cheap, and speed is not what speaks for "
            "it."
        )
    median, wrong, total = (shape.get(key) for key in ("speed_median", "disagree", "subset"))
    if is_number(total) and total:
        errors = (
            f"where both make a wave, speeds differ by {percent(median, 2)} in the median and at most "
            f"{percent(shape.get('speed_max'), 2)}"
            if is_number(median)
            else "none has a wave in both"
        )
        text.append(
            f"Of the {count(total)} cables that were simulated with the equations too, {errors}; in {count(wrong)} a "
            "wave runs with one of the two alone."
        )
    if is_number(found.get("flagged_share")):
        text.append(
            f"The monitor flags {percent(found['flagged_share'], 2)} of all node-steps as outside of what training "
            "visited."
        )
    picture = figures(
        "map",
        "Waves over receptor density and ER radius",
        "Speed, peak and duration (grey: no wave; beyond the white line: outside what training visited), and speeds "
        "against those of the equations on a subset.",
    )
    return section("map", "use", title, text, None, [picture])
