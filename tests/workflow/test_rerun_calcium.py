"""What reruns of the calcium study after a change: the exact set of rules under ``snakemake -n``."""

from __future__ import annotations

import pytest
from conftest import Project
from rerun_table import SURROGATE, RerunTable, add_logic

FITS = {"train_surrogate", "cross_validate_surrogate", "measure_learning_curve"}
# Rules fed by each rule, written down independently of the rule files.
FEEDS = {
    "simulate_courses": {*SURROGATE, "train_receptors", "draw_calcium"},
    "train_surrogate": {"evaluate_surrogate", "train_receptors"},
    "cross_validate_surrogate": {"evaluate_surrogate", "write_report"},
    "measure_learning_curve": {"evaluate_surrogate", "write_report"},
    "evaluate_surrogate": {"draw_calcium", "judge_results", "write_report"},
    "train_receptors": {"simulate_hybrid", "map_waves", "draw_calcium"},
    "simulate_hybrid": {"map_waves", "draw_calcium", "judge_results"},
    "compare_channels": {"draw_calcium", "judge_results"},
    "design_waves": {"draw_calcium", "judge_results"},
    "map_waves": {"draw_calcium", "judge_results", "write_report"},
    "verify_calcium": {"draw_calcium", "judge_results", "write_report"},
    "draw_calcium": {"judge_results", "write_report"},
    "judge_results": {"write_report"},
    "write_report": set(),
}

# Where a key of the configuration first acts. The longest prefix counts; keys that no stage reads rerun nothing.
FIRST = {
    "seed": {
        *SURROGATE,
        "simulate_courses",
        "train_receptors",
        "simulate_hybrid",
        "compare_channels",
        "design_waves",
    },
    "data_dir": set(),
    "execution": set(),
    "calcium.courses": {"simulate_courses"},
    "calcium.receptors": {"train_receptors"},
    "calcium.hybrid": {"simulate_hybrid"},
    "calcium.channels": {"compare_channels"},
    "calcium.design": {"design_waves"},
    "calcium.maps": {"map_waves"},
    "calcium.verification": {"verify_calcium"},
    "calcium.network": {*FITS, "train_receptors"},
    "calcium.surrogate.training": FITS,
    "calcium.surrogate.cross_validation": {"cross_validate_surrogate"},
    "calcium.surrogate.learning_curve": {"measure_learning_curve"},
    "calcium.surrogate.calibration": {"train_surrogate"},
    "calcium.surrogate.evaluation": {"measure_learning_curve", "evaluate_surrogate"},
}

# Keys whose nearest other value needs more than a nudge.
OTHER_VALUES = {
    "calcium.hybrid.steps_us": {"calcium.hybrid.steps_us": [100, 25]},
    "calcium.hybrid.recovery_gaps_s": {"calcium.hybrid.recovery_gaps_s": [0.3, 1.0]},
    "calcium.network.unknowns": {"calcium.network.unknowns": 6},
    "calcium.network.hidden": {"calcium.network.hidden": [8, 12]},
    "calcium.surrogate.learning_curve.sizes": {"calcium.surrogate.learning_curve.sizes": [100, 250]},
}
TABLE = RerunTable("calcium", FEEDS, FIRST, OTHER_VALUES)


def test_every_key_reaches_exactly_the_stages_that_read_it(finished_calcium: Project) -> None:
    TABLE.hold_stages(finished_calcium)


@pytest.mark.parametrize("key", [pytest.param(key, marks=pytest.mark.slow) for key in TABLE.one_key_of_each_line()])
def test_a_key_of_each_line_reruns_exactly_its_rules(project_calcium: Project, key: str) -> None:
    """The test above holds that the other keys of a line reach the same stages."""
    TABLE.hold_key(project_calcium, key)


@pytest.mark.parametrize("key", ["calcium.courses.noise", "calcium.network.hidden", "calcium.maps.checked"])
def test_one_key_of_each_kind_reruns_exactly_its_rules(project_calcium: Project, key: str) -> None:
    TABLE.hold_key(project_calcium, key)


def test_finished_run_has_nothing_to_do(finished_calcium: Project) -> None:
    assert finished_calcium.planned() == set()


@pytest.mark.parametrize(
    ("module", "first"),
    [
        ("src/understudy/calcium/designed_fit.py", {"design_waves"}),
        ("src/understudy/calcium/course_plan.py", {"simulate_courses"}),
        ("src/understudy/calcium/wave_maps.py", {"map_waves"}),
        ("src/understudy/calcium/device_cables.py", {"map_waves"}),
        ("src/understudy/calcium/goals.py", {"draw_calcium"}),
        ("src/understudy/tms/conduction.py", set()),
    ],
)
def test_logic_changed_in_a_module(project_calcium: Project, module: str, first: set[str]) -> None:
    add_logic(project_calcium, module)
    assert project_calcium.planned() == TABLE.downstream(*first)
