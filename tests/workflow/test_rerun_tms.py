"""What reruns of the TMS study after a change: the exact set of rules under ``snakemake -n``."""

from __future__ import annotations

import typing
from typing import Any, Literal

import pytest
import yaml
from conftest import Project
from test_rerun import add_logic, get, put

from understudy import settings

SURROGATE = {"train_surrogate", "cross_validate_surrogate", "measure_learning_curve", "evaluate_surrogate"}
FITS = {"train_surrogate", "cross_validate_surrogate", "measure_learning_curve", "compare_models"}
# Rules that find thresholds with the engine.
ENGINE = {"build_cells", "simulate_thresholds", "measure_threshold_noise", "map_directions", "verify_tms"}
# Rules fed by each rule, written down independently of the rule files.
FEEDS = {
    "compile_mechanisms": {"simulate_thresholds", "measure_threshold_noise", "map_directions", "verify_tms"},
    "build_cells": {
        "place_cells",
        "simulate_thresholds",
        "measure_threshold_noise",
        "map_directions",
        "compare_models",
        "map_thresholds",
        "verify_tms",
        "draw_tms",
    },
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
OTHER_VALUES: dict[str, dict[str, Any]] = {
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
    "data_dir": {"data_dir": "elsewhere"},
    "execution.launcher": {"execution.launcher": "mpirun"},
}


def downstream(*rules: str) -> set[str]:
    """The rules and everything that they feed."""
    found: set[str] = set()
    waiting = list(rules)
    while waiting:
        rule = waiting.pop()
        if rule not in found:
            found.add(rule)
            waiting.extend(FEEDS[rule])
    return found


def first_rules(key: str) -> set[str]:
    """Rules that read a key themselves."""
    prefix = max((known for known in FIRST if key == known or key.startswith(f"{known}.")), key=len)
    return FIRST[prefix]


def changed(key: str, field: Any, now: Any) -> dict[str, Any]:
    """Another accepted value of a key, with the keys that must change with it."""
    if key in OTHER_VALUES:
        return OTHER_VALUES[key]
    if typing.get_origin(field.annotation) is Literal:
        return {key: next(option for option in field.annotation.__args__ if option != now)}
    if isinstance(now, bool):
        return {key: not now}
    return {key: now + 1 if isinstance(now, int) else now * 0.99}


def all_keys() -> dict[str, Any]:
    return {
        key: field
        for key, field in settings.all_fields()
        if key not in ("run", "studies") and not key.startswith("axon.")
    }


def tiny_values(project: Project) -> dict[str, Any]:
    return yaml.safe_load((project.folder / project.configuration).read_text())


def test_every_key_reaches_exactly_the_stages_that_read_it(finished_tms: Project) -> None:
    values = tiny_values(finished_tms)
    before = settings.load(values)
    stages = settings.load_stages("tms")
    assert not {key for key in all_keys() if not any(key == k or key.startswith(f"{k}.") for k in FIRST)}
    for key, field in all_keys().items():
        other = yaml.safe_load(yaml.safe_dump(values))
        for name, value in changed(key, field, get(before.model_dump(mode="json"), key)).items():
            put(other, name, value)
        after = settings.load(other)
        assert after != before, key
        found = {
            stage
            for stage in stages
            if settings.stage_values(before, "tms", stage) != settings.stage_values(after, "tms", stage)
        }
        assert found == first_rules(key), key


def write_sources(project: Project) -> None:
    """External files that a key may name."""
    data = project.folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    (data / "pulse.csv").write_text("time_us,value\n" + "".join(f"{t},{1 - t / 100}\n" for t in range(100)))
    (data / "coil.ccd").write_text("# coil\n1\n0 0 0 0 0 1\n")


def one_key_of_each_line() -> list[str]:
    """The first key that each line of the table speaks of; the test above holds that the others reach the same."""
    found: dict[str, str] = {}
    for key in all_keys():
        prefix = max((known for known in FIRST if key == known or key.startswith(f"{known}.")), key=len)
        found.setdefault(prefix, key)
    return list(found.values())


@pytest.mark.parametrize("key", [pytest.param(key, marks=pytest.mark.slow) for key in one_key_of_each_line()])
def test_a_key_of_each_line_reruns_exactly_its_rules(project_tms: Project, key: str) -> None:
    """Through Snakemake itself."""
    values = tiny_values(project_tms)
    now = get(settings.load(values).model_dump(mode="json"), key)
    for name, value in changed(key, all_keys()[key], now).items():
        put(values, name, value)
    write_sources(project_tms)
    (project_tms.folder / project_tms.configuration).write_text(yaml.safe_dump(values))
    assert project_tms.planned() == downstream(*first_rules(key))


@pytest.mark.parametrize("key", ["tms.head.voxel_mm", "tms.engine.dt_us", "tms.comparison.published_epochs"])
def test_one_key_of_each_kind_reruns_exactly_its_rules(project_tms: Project, key: str) -> None:
    test_a_key_of_each_line_reruns_exactly_its_rules(project_tms, key)


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
    assert project_tms.planned() == downstream(*first)


def test_an_edited_mechanism_is_compiled_anew(project_tms: Project) -> None:
    path = project_tms.folder / "src/understudy/tms/mechanisms/Ih.mod"
    path.write_text(path.read_text() + "\n: another line\n")
    assert "compile_mechanisms" in project_tms.planned()
