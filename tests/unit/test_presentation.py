"""The axon study as a paper: goals against what was measured, and sections for whole and for partial results."""

from __future__ import annotations

import copy
import json
from typing import Any

import axon_results
import pytest
from axon_results import MEANS, OUTPUTS, TARGETS

from understudy.axon import goals
from understudy.axon.presentation import lead_times, presentation
from understudy.axon.study_sections import BASELINE_NAMES, study_sections
from understudy.report.goals import GOAL, LEAST, MISSED, OPEN, REPORTED, Goal, goals_in_short
from understudy.report.sections import read_sections

FIGURES = (
    "lead", "history_gain", "error_by_voxel", "error_by_strain", "error_by_tract", "layout_spread", "rate_dependence",
    "criteria", "sampling_efficiency", "injury_maps", "sex_maps", "sexes_by_tract", "impacts", "histories",
)  # fmt: skip
FACTS: dict[str, Any] = {
    "impacts": {"training": 36, "calibration": 9, "heldout": 5},
    "voxels": 92439,
    "elements": 16545,
    "voxel_mm": 2.0,
    "covered": 0.686,
    "field_source": "tractogram",
    "impact": "impact 018",
    "peak_velocity": 12.4,
    "layouts": 16,
    "spread_share": dict(zip(OUTPUTS, (0.09, 0.14, 0.11, 0.17), strict=True)),
    "criterion_source": "choice, before any surrogate was trained",
    "claims": [18, 22],
}
COUNTS = {"training": 2000, "calibration": 1500, "random": 2000, "worst_case": 75}
ATTRIBUTES = {"sampling": "1000 stratified adaptive, 1000 random over voxels", "worst_case_sha256": "0" * 64}
OPTIONAL = ("floor", "errors", "deployment", "cost", "sensitivity", "criteria", "sexes", "sampling")


def metrics() -> dict[str, Any]:
    def point(n: int, best: float) -> dict[str, Any]:
        return {"n": n, "r2": dict.fromkeys(TARGETS, best - 5.0 / n)}

    sizes = (100, 200, 400, 2000)
    errors = {t: {"r2": 0.98, "nrmse": 0.021, "interval_width": 0.02} for t in TARGETS}
    return {
        "n_train": 2000,
        "targets": errors,
        "subsets": {"worst_case": {"targets": {t: {"r2": 0.945, "nrmse": 0.035} for t in TARGETS}}},
        "baselines": {
            "peak_strain": {t: {"r2": 0.60, "nrmse": 0.1} for t in TARGETS},
            "gradient_boosting": {t: {"r2": 0.95, "nrmse": 0.03} for t in TARGETS},
            "gaussian_process": {t: {"r2": 0.93, "nrmse": 0.04} for t in TARGETS},
        },
        "noise_floor": {t: {"r2": 0.999, "nrmse": 0.004} for t in TARGETS},
        "coverage_judgement": {t: {"coverage": 0.9, "passed": True} for t in TARGETS},
        "baseline_intervals": {"gaussian_process": {t: {"coverage": 0.92, "width": 0.03} for t in TARGETS}},
        "learning_curve": [point(n, 0.98) for n in sizes],
        "learning_curve_baselines": {"gradient_boosting": [point(n, 0.95 + (n < 300) * 0.04) for n in sizes]},
    }


def results(**changes: Any) -> dict[str, Any]:
    whole = {
        "metrics": metrics(),
        "floor": axon_results.noise_floor(),
        "cost": axon_results.cost(),
        "deployment": axon_results.deployment(),
        "errors": axon_results.white_matter_errors(),
        "sensitivity": axon_results.sensitivity(),
        "criteria": axon_results.criteria(),
        "sexes": axon_results.sex_comparison(),
        "sampling": axon_results.sampling_comparison(),
        "rate": axon_results.rate_dependence(),
    }
    return {**whole, **changes}


def found(**changes: Any) -> dict[str, Goal]:
    """Goals by their short names."""
    return {goal.short: goal for goal in goals.study_goals(results(**changes), BASELINE_NAMES)}


def reached(goal: Goal) -> list[str]:
    return [entry.reached for entry in goal.measured]


def test_a_measure_is_asked_up_to_the_noise_floor_only() -> None:
    goal = found()["R² on the worst case"]
    # The floor of the first output, 0.941, is below 0.95: it is what is asked, and 0.945 is as good as the goal.
    assert reached(goal) == [GOAL, *[MISSED] * 3]
    assert goal.measured[0].least == goal.measured[0].goal == 0.941 and goal.measured[0].note == "floor 0.941"
    assert goal.measured[1].least == 0.95 and goal.measured[1].goal == 0.99
    # NRMSE 3.5 %: below the first output's floor of 5.2 %, within 4 % of the others, above 2 %.
    assert reached(found()["NRMSE on the worst case"]) == [GOAL, *[LEAST] * 3]
    assert reached(found(floor=None)["R² on the worst case"]) == [MISSED] * 4


def test_layout_mean_against_the_best_baseline() -> None:
    goal = found()["1 − R² of the layout mean over the best baseline's"]
    assert [entry.value for entry in goal.measured] == pytest.approx([0.4] * 4)
    assert reached(goal) == [LEAST] * 4 and goal.measured[0].note == "gradient boosting 0.950"
    worse = metrics()
    worse["targets"] = {**worse["targets"], "tau_failed_mean": {"r2": 0.94, "interval_width": 0.02}}
    entry = found(metrics=worse)["1 − R² of the layout mean over the best baseline's"].measured[2]
    assert entry.reached == MISSED and entry.note.startswith("no gain")


def test_smallest_number_that_wins_and_keeps_winning() -> None:
    curve = [{"n": n, "r2": {"a": value}} for n, value in ((50, 0.9), (100, 0.7), (200, 0.85), (400, 0.9))]
    rival = {"b": [{"n": n, "r2": {"a": 0.8}} for n in (50, 100, 200, 400)]}
    assert goals.smallest_winning_size(curve, rival, "a") == 200
    assert goals.smallest_winning_size(curve[:2], rival, "a") is None
    assert goals.smallest_winning_size(curve, {}, "a") is None
    # Boosting is ahead by 0.01 up to 200.
    goal = found()["N from which on it beats every baseline, layout mean"]
    assert [entry.value for entry in goal.measured] == [400] * 4 and goal.reached == REPORTED


def test_times() -> None:
    assert reached(found()["time of the surrogate"]) == [GOAL, GOAL]
    slow = axon_results.deployment() | {"seconds": 3.4, "seconds_two_threads": None}
    goal = found(deployment=slow)["time of the surrogate"]
    assert reached(goal) == [MISSED, OPEN] and goal.reached == MISSED
    direct = found()["time of direct simulation"].measured[0]
    assert direct.reached == LEAST and direct.note == "on 2 cores, 1.22 core hours, measured"
    shared = axon_results.cost() | {"wall_s": 4391.0}
    note = found(cost=shared)["time of direct simulation"].measured[0].note
    assert note.endswith("measured; the cores gave it 50 % of their time")
    many = axon_results.cost() | {"ranks": 64, "wall_s": 70.0}
    # 64 cores reach 70 s; two would take 4391 s / 2.
    assert found(cost=many)["time of direct simulation"].reached == LEAST
    resumed = axon_results.cost() | {"computed": 100, "wall_s": 3.0, "cpu_s": 5.0}
    direct = found(cost=resumed)["time of direct simulation"].measured[0]
    assert direct.value == pytest.approx(92439 * 0.0475 / 2) and "resumed" in direct.note
    assert lead_times(axon_results.cost(), axon_results.deployment()) == (
        "36.9 min on 2 cores\n(1.2 core hours)",
        "1.62 s on one core",
    )
    assert lead_times(None, None) == ("", "")


def test_what_is_not_reached_is_named() -> None:
    lines = goals_in_short(goals.study_goals(results(), BASELINE_NAMES), goals.BRIEF)
    assert lines[0].startswith("Of 47 values that were asked for")
    (missed,) = [line for line in lines if line.startswith("Not reached")]
    assert "R² on the worst case (axolemma 0.945, tau 0.945, side-arms 0.945)" in missed
    (short,) = [line for line in lines if line.startswith("Asked only to be reported")]
    assert "layout mean (400 on every output)" in short
    (unmeasured,) = [
        line
        for line in goals_in_short(goals.study_goals(results(cost=None), BASELINE_NAMES), goals.BRIEF)
        if line.startswith("Not measured, or")
    ]
    assert "time of direct simulation" in unmeasured


def content(**changes: Any) -> dict[str, Any]:
    return presentation(FACTS, COUNTS, ATTRIBUTES, results(**changes), FIGURES)


def texts(page: Any) -> str:
    return json.dumps(page, ensure_ascii=False, allow_nan=False)


def test_whole_story_is_accepted_by_the_page() -> None:
    page = content()
    slots = read_sections(page, "presentation.json")
    assert [section.id for section in slots["headline"]] == ["goals"]
    assert [section.id for section in slots["worth"]] == ["history", "everywhere"]
    assert {section.id for sections in slots.values() for section in sections} == {
        "goals", "history", "everywhere", "layouts", "criteria", "sampling", "sexes", "sensitivity",
    }  # fmt: skip
    shown = {figure["file"] for sections in slots.values() for section in sections for figure in section.figures}
    shown |= {figure["file"] for figure in page["figures"]} | {page["lead"]["file"]}
    assert shown == {f"{name}.png" for name in FIGURES}
    assert "Not measured in this run: it has no" not in texts(page)
    assert page["lead"]["caption"].count("36.9 min on 2 cores (1.2 core hours)") == 1


def test_numbers_stand_where_they_belong() -> None:
    sections = {section["id"]: section for section in content()["sections"]}
    history = sections["history"]["table"]["rows"]
    assert history[0] == {"part": "Reference gap layout"}
    # 1 - 0.02/0.40 of what peak strain leaves, 1 - 0.02/0.05 of what boosting leaves.
    assert history[1][1:6] == ["0.600", "0.950", "0.930", "0.980", "95 %"] and history[1][6]["text"] == "60 %"
    rows = {row[0]: row for row in sections["everywhere"]["table"]["rows"]}
    assert rows["Every voxel"][2] == {"text": "0.952", "note": "NRMSE 6.1 %"}
    assert rows["Filled voxels, no streamlines"][1] == "29\u202f365"
    criteria = [row for row in sections["criteria"]["table"]["rows"] if isinstance(row, list)]
    # Failed tau falls with rate under elongation, (0.22 - 0.46)/59, and rises under Bell.
    assert criteria[6][4] == {"text": "− 0.0041", "note": "falls with rate"}
    assert criteria[6][8]["note"] == "rises with rate"
    assert [c["title"] for c in sections["criteria"]["table"]["columns"][1:6:4]] == [
        "Elongation (headline): R²",
        "Bell: R²",
    ]
    sampling = [row for row in sections["sampling"]["table"]["rows"] if isinstance(row, list)]
    assert sampling[0][1] == "1\u202f410" and sampling[3][1] == "not up to 2\u202f000"
    sensitivity = sections["sensitivity"]["table"]["rows"]
    assert sensitivity[0][2] == "+3.4 %" and sensitivity[0][5] == "+4.8 %"
    assert sections["sexes"]["table"]["rows"][0][2]["text"] == "5.0 % → 5.6 %"


@pytest.mark.parametrize("name", OPTIONAL)
def test_a_missing_file_is_said_and_breaks_nothing(name: str) -> None:
    page = content(**{name: None})
    read_sections(page, "presentation.json")
    text = texts(page)
    if name in ("errors", "sensitivity", "criteria", "sexes", "sampling"):
        assert "Not measured in this run: it has no" in text
    else:
        assert "Not measured, or not to be judged, in this run: " in text or "floor not measured" in text


def test_nothing_but_metrics_makes_a_page() -> None:
    page = presentation(
        FACTS | {"field_source": "synthetic", "spread_share": dict.fromkeys(OUTPUTS)},
        COUNTS,
        ATTRIBUTES,
        results(**dict.fromkeys(OPTIONAL)),
        (),
    )
    read_sections(page, "presentation.json")
    assert page["lead"] is None and all(not section["figures"] for section in page["sections"])


def _without(value: Any) -> Any:
    """The same structure with null in place of every number."""
    if isinstance(value, dict):
        return {key: _without(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without(item) for item in value]
    return None if isinstance(value, float) else value


@pytest.mark.parametrize("name", ["errors", "criteria", "sexes", "sampling", "sensitivity"])
def test_null_in_a_file_is_a_dash(name: str) -> None:
    empty = _without(copy.deepcopy(results()[name]))
    page = content(**{name: empty})
    read_sections(page, "presentation.json")
    assert "—" in texts(page["sections"])


def test_synthetic_field_has_no_filled_voxels() -> None:
    """Where the anatomy alone gives the directions, none is taken from neighbours."""
    whole = texts(content())
    assert "takes its direction from its neighbours" in whole
    errors = axon_results.white_matter_errors() | {"covered": None, "by_tract": None}
    synthetic = texts(content(errors=errors))
    assert "takes its direction from its neighbours" not in synthetic and "without streamlines" in synthetic
    assert "Filled voxels" not in synthetic and "Voxels with streamlines" not in synthetic


def test_partial_results_are_said() -> None:
    errors = axon_results.white_matter_errors() | {"by_tract": None, "filled": None, "failed": 3}
    errors["flagged"] = {"share": 0.0, "targets": None}
    diverged = axon_results.sensitivity()
    diverged["variants"][0] |= {"diverged": "no energy balance", "p95": None}
    sampling = axon_results.sampling_comparison()
    del sampling["profiles_for_same_error"]["white_matter"]
    page = content(
        errors=errors, sensitivity=diverged, sampling=sampling, sexes=axon_results.sex_comparison() | {"by_tract": None}
    )
    text = texts(page)
    for words in (
        "No tracts are known in this run",
        "failed at 3 voxels",
        "diverged: no energy balance",
        "Not measured in this run: every voxel of the first held-out impact",
        "distributions by tract are not shown",
    ):
        assert words in text, words
    read_sections(page, "presentation.json")


def test_a_smaller_run_says_that_it_shows_the_method() -> None:
    small = study_sections([], FACTS | {"voxels": 11644}, results(), FIGURES)[0]
    assert "11\u202f644 voxels" in small["text"][-1]
    assert len(study_sections([], FACTS, results(), FIGURES)[0]["text"]) == 2
    assert set(MEANS) < set(TARGETS)
