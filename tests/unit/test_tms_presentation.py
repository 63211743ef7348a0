"""The TMS study as a paper: its page from whole and from partial results, and numbers where they belong."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import tms_results
from tms_results import TYPES

from understudy.report.numbers import many
from understudy.report.sections import read_sections
from understudy.tms.goals import study_goals
from understudy.tms.presentation import presentation

FIGURES = (
    "lead", "cells", "gate", "head", "fields", "strength_duration", "initiation", "models", "population", "map",
)  # fmt: skip
FACTS: dict[str, Any] = {
    "cells": [
        *(
            {"name": f"{kind}_{n}", "type": kind, "source": "synthetic", "rejected": n, "gate": [170.0, 240.0, 430.0]}
            for kind in TYPES
            for n in range(1, 6)
        ),
        {
            "name": "C060114A5",
            "type": "L5_TTPC",
            "source": "C060114A5.asc",
            "rejected": 0,
            "gate": [130.0, 190.0, 250.0],
        },
    ],
    "per_cell": {"L23_PC_1": 5200, "C060114A5": 5100},
    "placements": {
        "training": {"patches": 14, "placements": 56},
        "calibration": {"patches": 4, "placements": 16},
        "heldout": {"patches": 1, "placements": 24},
        "second_head": {"patches": 5, "placements": 20},
    },
    "positions": {
        "drawn": dict(zip(TYPES, (1000, 2000, 1000), strict=True)),
        "refused": dict(zip(TYPES, (100, 300, 600), strict=True)),
    },
    "thresholds": {"training": 57600, "held out": 9600},
    "not_found": 3,
    "pulses": ["monophasic", "biphasic", "rectangular_30us", "half_sine"],
    "unseen_pulse": "half sine",
    "unseen_pulse_name": "half_sine",
    "unseen": {kind: {"mape": 0.018, "linear_polarisation": 0.07, "n": 100} for kind in TYPES},
    "initiation": {
        kind: {"node": 0.6, "unmyelinated": 0.39, "apical": 0.01, "at_terminal": 0.7, "near_terminal": 0.97}
        for kind in TYPES
    },
    "cpu_s_per_threshold": 0.09,
}
ATTRIBUTES = {"engine": "batched", "dt_us": 5.0, "headline_pulse": "monophasic"}
OPTIONAL = ("comparison", "floor", "verification", "deployment")


def results(**changes: Any) -> dict[str, Any]:
    whole = {
        "metrics": tms_results.metrics(),
        "comparison": tms_results.comparison(),
        "floor": tms_results.noise_floor(),
        "verification": tms_results.verification(),
        "deployment": tms_results.deployment(),
    }
    return {**whole, **changes}


def content(**changes: Any) -> dict[str, Any]:
    return presentation(FACTS, ATTRIBUTES, results(**changes), FIGURES)


def sections(page: dict[str, Any]) -> dict[str, Any]:
    return {section["id"]: section for section in page["sections"]}


def texts(page: Any) -> str:
    return json.dumps(page, ensure_ascii=False, allow_nan=False)


def test_whole_story_is_accepted_by_the_page() -> None:
    page = content()
    slots = read_sections(page, "presentation.json")
    assert [section.id for section in slots["headline"]] == ["goals"]
    assert [section.id for section in slots["accuracy"]] == ["by-cell", "population", "beyond"]
    assert [section.id for section in slots["physics"]] == ["cells", "initiation", "strength-duration", "fields"]
    shown = {figure["file"] for every in slots.values() for section in every for figure in section.figures}
    assert shown | {page["lead"]["file"]} == {f"{name}.png" for name in FIGURES}
    assert "Not measured in this run" not in texts(page) and "shows the method" not in texts(page)


def test_what_was_run_counts_refusals_and_failures() -> None:
    lines = dict(content()["what_was_run"])
    assert lines["Cells"] == (
        "15 synthetic (45 candidates rejected by the gate), 1 reconstructed: "
        "5 L2/3 pyramidal, 5 L4 large basket and 6 L5 thick-tufted"
    )
    assert "held out 1 patch with 24 placements; second head 5 patches with 20" in lines["Patches and placements"]
    assert lines["Positions"].startswith("4\u202f000 drawn, 1\u202f000 (25.0 %) refused")
    assert lines["Thresholds"].endswith("; 3 without one up to the limit")
    assert lines["Pulses"] == (
        "monophasic (headline), biphasic, rectangular 30 µs (trained on), half sine (never trained on)"
    )
    assert "time step 5 µs" in lines["Engine"]


def test_models_are_judged_by_the_whole_paired_interval() -> None:
    rows = {row[0]: row for row in sections(content())["models"]["table"]["rows"][1:9]}
    uniform, per_cell = rows["Uniform direction map"][1], rows["The same, one per cell"][1]
    assert uniform["text"] == "8.50 %" and uniform["mark"] == "better"
    assert uniform["note"].endswith("−7.30 (−7.60 to −7.00)")
    # 1.2 less 1.6 % with an interval of 0.3 points: the network is better; a wider one would show no difference.
    assert per_cell["mark"] == "better"
    wide = tms_results.comparison()
    wide["sets"]["random"]["types"]["L23_PC"]["paired"]["network"]["network_per_cell"]["difference"]["high"] = 0.001
    rows = {row[0]: row for row in sections(content(comparison=wide))["models"]["table"]["rows"][1:9]}
    assert rows["The same, one per cell"][1]["mark"] == "equal" and "mark" not in rows["One network for all cells"][1]


def test_a_set_that_is_too_easy_supports_no_claim() -> None:
    easy = tms_results.comparison()
    easy["sets"]["second_head"]["types"]["L4_LBC"]["models"]["uniform_map"]["mape"] = 0.031
    page = sections(content(comparison=easy))
    words = "for L4 large basket it cannot support a claim"
    assert any(words in paragraph for paragraph in page["models"]["text"])
    assert page["beyond"]["table"]["rows"][2][2]["note"] == "uniform map 3.1 %: too easy"
    assert words not in texts(content())


def test_numbers_stand_where_they_belong() -> None:
    page = sections(content())
    gate = [row for row in page["cells"]["table"]["rows"] if isinstance(row, list)]
    assert gate[0][1:5] == ["170", "240", "430", "2.5"] and gate[5][1] == "175–261" and gate[5][4] == "2.6–3.3"
    assert "45 candidates were rejected" in page["cells"]["text"][0]
    curve = page["strength-duration"]["table"]["rows"][0]
    assert curve[1] == "0.21" and curve[-1] == "−2.0 %" and curve[2]["note"] == "one pole 676"
    times = {row[0]: row for row in page["maps"]["table"]["rows"] if isinstance(row, list)}
    assert times["all"][1] == "74 µs" and times["NEURON, usual extracellular script"][2] == "114\u202f000 ×"
    unseen = page["beyond"]["table"]["rows"][3]
    assert unseen[0]["note"] == "half sine" and unseen[1]["text"] == "1.80 %"
    assert page["beyond"]["table"]["rows"][5][1]["text"] == "8.00 %"
    assert page["fields"]["table"]["rows"][1][1:] == ["12.00 %", "3.00 %", "1.10 %"]


@pytest.mark.parametrize("name", OPTIONAL)
def test_a_missing_file_is_said_and_breaks_nothing(name: str) -> None:
    page = content(**{name: None})
    read_sections(page, "presentation.json")
    if name != "floor":
        assert "Not measured in this run" in texts(page) or "Not measured, or not to be judged" in texts(page)


def test_nothing_but_metrics_makes_a_page() -> None:
    bare = FACTS | {"unseen": {}, "initiation": {}, "unseen_pulse": "", "unseen_pulse_name": "", "per_cell": {"a": 12}}
    page = presentation(bare, ATTRIBUTES, results(**dict.fromkeys(OPTIONAL)), ())
    read_sections(page, "presentation.json")
    assert page["lead"] is None and all(not section["figures"] for section in page["sections"])
    assert "so it shows the method rather than the result" in texts(page)


def test_a_run_without_reconstructed_cells_says_so() -> None:
    without = tms_results.comparison() | {"left_out_cells": {}}
    synthetic = FACTS | {"cells": FACTS["cells"][:3], "per_cell": {"L23_PC_1": 60}}
    page = presentation(synthetic, ATTRIBUTES, results(comparison=without), ())
    assert "no reconstructed cell" in page["notes"][0]
    assert any("an unseen reconstructed cell" in line for line in sections(page)["beyond"]["text"])


def _without(value: Any) -> Any:
    """The same structure with null in place of every number."""
    if isinstance(value, dict):
        return {key: _without(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without(item) for item in value]
    return None if isinstance(value, float) else value


@pytest.mark.parametrize("name", OPTIONAL)
def test_null_in_a_file_is_a_dash(name: str) -> None:
    page = content(**{name: _without(copy.deepcopy(results()[name]))})
    read_sections(page, "presentation.json")
    assert "—" in texts(page["sections"])


def test_one_cost_of_simulation_is_the_headline_and_the_other_says_what_it_includes() -> None:
    """Goals, maps and the page's own sentences divide the same cost of the engine by that of the surrogate."""
    whole = results()
    own = whole["deployment"]["seconds_per_case"]
    engine = whole["verification"]["timing"]["engine_s_per_threshold"]
    farmed = whole["deployment"]["seconds_per_case_direct"]
    page = content()
    assert page["direct_cost"]["seconds_per_case"] == engine
    assert page["other_direct_cost"]["seconds_per_case"] == farmed
    speed = {row[0]: row for row in sections(page)["maps"]["table"]["rows"] if isinstance(row, list)}
    assert speed["our batched engine"][2] == f"{many(engine / own)} ×"
    goal = next(goal for goal in study_goals(whole) if "our engine" in goal.quantity)
    assert goal.measured[0].text == f"{many(engine / own)}×"
    assert goal.measured[0].note.startswith(f"{many(farmed / own)}× over a threshold of the ground truth")


def test_without_a_timed_engine_the_ground_truth_tells_the_cost() -> None:
    page = content(verification=None)
    assert page["direct_cost"] is None and page["other_direct_cost"] is None
