"""What reruns of the TMS study after a change: the exact set of rules under ``snakemake -n``."""

from __future__ import annotations

import pytest
from conftest import Project
from rerun_table import SURROGATE, RerunTable, add_logic

FITS = {"train_surrogate", "cross_validate_surrogate", "measure_learning_curve", "compare_models"}
# Rules that find thresholds with the engine.
ENGINE = {"build_cells", "simulate_thresholds", "measure_threshold_noise", "map_directions", "verify_tms"}
# Rules fed by each rule, written down independently of the rule files.
FEEDS = {
    "compile_mechanisms": {"simulate_thresholds", "measure_threshold_noise", "map_directions", "verify_tms"},
    "build_cells": {
        "share_cells",
        "place_cells",
        "simulate_thresholds",
        "measure_threshold_noise",
        "map_directions",
        "compare_models",
        "map_thresholds",
        "verify_tms",
        "draw_tms",
    },
    "share_cells": {"judge_results"},
    "place_coils": {
        "simulate_fields",
        "place_cells",
        "simulate_thresholds",
        "map_thresholds",
        "verify_tms",
        "draw_tms",
    },
    "simulate_fields": {"place_cells", "simulate_thresholds", "measure_threshold_noise", "draw_tms"},
    "place_cells": {"simulate_thresholds", "measure_threshold_noise", "verify_tms", "draw_tms"},
    "simulate_thresholds": {*SURROGATE, "compare_models", "map_thresholds", "verify_tms", "draw_tms"},
    "measure_threshold_noise": {"evaluate_surrogate", "draw_tms"},
    "map_directions": {"compare_models"},
    "train_surrogate": {"evaluate_surrogate", "map_thresholds"},
    "cross_validate_surrogate": {"evaluate_surrogate", "write_report"},
    "measure_learning_curve": {"evaluate_surrogate", "write_report"},
    "evaluate_surrogate": {"compare_models", "draw_tms", "judge_results", "write_report"},
    "compare_models": {"draw_tms"},
    "map_thresholds": {"write_surface_maps", "draw_tms", "judge_results", "write_report"},
    "write_surface_maps": {"judge_results"},
    "verify_tms": {"draw_tms", "judge_results", "write_report"},
    "draw_tms": {"judge_results", "write_report"},
    "judge_results": {"write_report"},
    "write_report": set(),
}
ALL = set(FEEDS)

# Where a key of the configuration first acts. The longest prefix counts; keys that no stage reads rerun nothing.
FIRST = {
    "seed": {
        "build_cells",
        "place_coils",
        "simulate_fields",
        "place_cells",
        "simulate_thresholds",
        "measure_threshold_noise",
        "map_directions",
        "compare_models",
        "map_thresholds",
        "verify_tms",
        *SURROGATE,
    },
    "data_dir": set(),
    "execution": set(),
    "tms.cells.clones": {"build_cells"},
    "tms.cells.types": {"build_cells"},
    # Reconstructed cells are tracked by their content alone; the tiny study has none.
    **{f"tms.cells.real_{key}": set() for key in ("source", "files", "types", "urls", "sha256")},
    "tms.cells.segment_um": {*ENGINE, "place_cells", "map_thresholds"},
    "tms.engine": {*ENGINE, "map_thresholds"},
    "tms.pulses": {*ENGINE, "place_cells", "map_thresholds"},
    "tms.coil": {"place_coils", "simulate_fields", "map_thresholds", "verify_tms"},
    "tms.conductivity": {"simulate_fields", "map_thresholds", "verify_tms"},
    "tms.head": {"place_coils", "simulate_fields", "map_thresholds", "verify_tms"},
    "tms.second_head": {"place_coils", "simulate_fields", "place_cells"},
    "tms.placements": {"place_coils"},
    "tms.placements.hemisphere": {"place_coils", "place_cells", "map_thresholds"},
    "tms.sampling": {"place_cells"},
    "tms.sampling.noise_floor": {"measure_threshold_noise"},
    "tms.sampling.noise_floor_um": {"measure_threshold_noise"},
    "tms.sampling.largest_failed": {"simulate_thresholds"},
    "tms.maps": {"map_thresholds"},
    "tms.comparison": {"compare_models"},
    "tms.comparison.direction_step_deg": {"compare_models", "map_directions"},
    "tms.verification": {"verify_tms"},
    "tms.network": FITS,
    "tms.surrogate.training": FITS,
    "tms.surrogate.cross_validation": {"cross_validate_surrogate"},
    "tms.surrogate.learning_curve": {"measure_learning_curve"},
    "tms.surrogate.calibration": {"train_surrogate"},
    "tms.surrogate.evaluation": {"measure_learning_curve", "evaluate_surrogate", "compare_models"},
}

# Keys whose nearest other value needs a second key, or more than a nudge.
OTHER_VALUES = {
    "tms.cells.types": {"tms.cells.types": ["L23_PC", "L5_TTPC"]},
    "tms.cells.real_source": {"tms.cells.real_source": "auto"},
    "tms.cells.real_files": {"tms.cells.real_files": ["a.swc"], "tms.cells.real_types": ["L23_PC"]},
    "tms.cells.real_types": {"tms.cells.real_types": ["L23_PC", "L23_PC", "L23_PC"]},
    "tms.cells.real_urls": {
        "tms.cells.real_urls": ["https://example.org/a.swc"] * 3,
        "tms.cells.real_sha256": ["0" * 64] * 3,
    },
    "tms.cells.real_sha256": {"tms.cells.real_sha256": ["0" * 64] * 3},
    "tms.pulses.others": {"tms.pulses.others": ["rectangular_30us"]},
    "tms.pulses.headline": {"tms.pulses.headline": "rectangular_30us"},
    "tms.pulses.unseen": {"tms.pulses.unseen": "rectangular_60us"},
    "tms.pulses.file": {"tms.pulses.file": "pulse.csv"},
    "tms.coil.model": {"tms.coil.model": "magstim_70mm"},
    "tms.coil.ccd_file": {"tms.coil.ccd_file": "coil.ccd"},
    "tms.engine.name": {"tms.engine.name": "neuron"},
    "tms.comparison.direction_step_deg": {"tms.comparison.direction_step_deg": 30},
    "tms.comparison.published_filters": {"tms.comparison.published_filters": [4, 5]},
    "tms.comparison.published_dense": {"tms.comparison.published_dense": [5]},
    "tms.surrogate.learning_curve.sizes": {"tms.surrogate.learning_curve.sizes": [20, 50]},
}
TABLE = RerunTable("tms", FEEDS, FIRST, OTHER_VALUES)


def test_every_key_reaches_exactly_the_stages_that_read_it(finished_tms: Project) -> None:
    TABLE.hold_stages(finished_tms)


def write_sources(project: Project) -> None:
    """External files that a key may name."""
    data = project.folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    (data / "pulse.csv").write_text("time_us,value\n" + "".join(f"{t},{1 - t / 100}\n" for t in range(100)))
    (data / "coil.ccd").write_text("# coil\n1\n0 0 0 0 0 1\n")


@pytest.mark.parametrize("key", [pytest.param(key, marks=pytest.mark.slow) for key in TABLE.one_key_of_each_line()])
def test_a_key_of_each_line_reruns_exactly_its_rules(project_tms: Project, key: str) -> None:
    """The test above holds that the other keys of a line reach the same stages."""
    write_sources(project_tms)
    TABLE.hold_key(project_tms, key)


@pytest.mark.parametrize("key", ["tms.head.voxel_mm", "tms.engine.dt_us", "tms.comparison.published_epochs"])
def test_one_key_of_each_kind_reruns_exactly_its_rules(project_tms: Project, key: str) -> None:
    TABLE.hold_key(project_tms, key)


def test_finished_run_has_nothing_to_do(finished_tms: Project) -> None:
    assert finished_tms.planned() == set()


@pytest.mark.parametrize(
    ("module", "first"),
    [
        ("src/understudy/tms/synthesis.py", {"build_cells"}),
        ("src/understudy/tms/conduction.py", {"place_coils", "simulate_fields", "map_thresholds", "verify_tms"}),
        ("src/understudy/tms/goals.py", {"draw_tms"}),
        ("src/understudy/axon/axon_mechanics.py", set()),
    ],
)
def test_logic_changed_in_a_module(project_tms: Project, module: str, first: set[str]) -> None:
    add_logic(project_tms, module)
    assert project_tms.planned() == TABLE.downstream(*first)


def test_an_edited_mechanism_is_compiled_anew(project_tms: Project) -> None:
    path = project_tms.folder / "src/understudy/tms/mechanisms/Ih.mod"
    path.write_text(path.read_text() + "\n: another line\n")
    assert "compile_mechanisms" in project_tms.planned()
