"""The program that draws the calcium study: whole runs, partial ones, and figures from incomplete files."""

from __future__ import annotations

import importlib.util
import json
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import calcium_results
import h5py
import numpy as np
import pytest
from PIL import Image

from understudy.calcium import channel_figures, hybrid_figures, map_figures, verification_figures, wave_figures
from understudy.calcium.figure_files import course_counts, read_parts
from understudy.errors import InputError
from understudy.provenance.fingerprint import REPOSITORY
from understudy.report import style
from understudy.report.sections import read_sections

FIGURES = (
    "lead", "waves", "traces", "open_probability", "clamps", "steps", "heldout", "thresholds", "recovery", "channels",
    "spikes", "observations", "knobs", "design", "validity", "convergence", "map",
)  # fmt: skip


@pytest.fixture(scope="module")
def program() -> ModuleType:
    spec = importlib.util.spec_from_file_location("draw_calcium", REPOSITORY / "scripts" / "draw_calcium.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def small_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(style, "PNG_DPI", 40)
    for module in (wave_figures, map_figures):
        monkeypatch.setattr(module, "MAP_DPI", 40)


@pytest.fixture
def arguments(tmp_path: Path) -> Namespace:
    arguments = calcium_results.write_run(tmp_path / "run")
    arguments.presentation = tmp_path / "figures" / "presentation.json"
    arguments.figures = [tmp_path / "figures" / f"{name}.png" for name in FIGURES]
    return arguments


def shown_by(page: dict[str, Any]) -> set[str]:
    slots = read_sections(page, "presentation.json")
    return {figure["file"] for every in slots.values() for section in every for figure in section.figures}


def test_whole_run_is_drawn_and_told(program: ModuleType, arguments: Namespace) -> None:
    program.run(arguments)
    page = json.loads(arguments.presentation.read_text())
    assert shown_by(page) | {page["lead"]["file"]} == {path.name for path in arguments.figures}
    for path in arguments.figures:
        assert Image.open(path).height > 60, path.name
    lines = dict(page["what_was_run"])
    assert lines["Courses of calcium"].startswith("200 training in 100 groups; 40 calibration")
    assert lines["Noise floor"] == "calcium known to 0.5 %"
    (told,) = [section for section in page["sections"] if section["id"] == "map"]
    assert any("Of the 4 cables" in words and "0.20 % in the median" in words for words in told["text"])


def test_nothing_but_the_machine_becomes_lines(program: ModuleType, arguments: Namespace) -> None:
    for name in program.OPTIONAL:
        setattr(arguments, name, None)
    program.run(arguments)
    page = json.loads(arguments.presentation.read_text())
    assert page["lead"] is None and not shown_by(page)
    # 0.7 inches at 40 dots.
    assert {Image.open(path).height for path in arguments.figures} == {28}
    words = json.dumps(page)
    for file in ("hybrid.json", "channels.json", "design.json", "training.json", "deployment.json"):
        assert f"it has no {file}" in words


def test_a_file_that_is_none_is_refused(program: ModuleType, arguments: Namespace) -> None:
    arguments.map.write_text("speed")
    with pytest.raises(InputError, match=r"map\.h5: found no readable HDF5 file; accepted is a result"):
        program.run(arguments)
    assert not arguments.presentation.exists()


def _front() -> dict[str, Any]:
    return calcium_results.hybrid_arrays()["front"]


def _lead(path: Path, found: dict[str, Any]) -> bool:
    return wave_figures.lead(path, found, {}, 0.003)


def _thresholds(path: Path, found: dict[str, Any]) -> bool:
    return hybrid_figures.thresholds(path, found, None)


def _channels(path: Path, found: dict[str, Any]) -> bool:
    return channel_figures.channels(path, found, [])


# Content, figure, a part without which the figure is not drawn, parts without which it is.
PARTS: dict[str, tuple[Callable[[], Any], Callable[[Path, Any], bool], tuple[str, ...], tuple[str, ...]]] = {
    "lead": (_front, _lead, ("equations",), ("net5", "sites_um")),
    "waves": (_front, wave_figures.waves, ("equations", "time_s"), ("net5", "net4")),
    "traces": (_front, wave_figures.traces, ("equations", "trace_time_s"), ("net5",)),
    "open": (_front, wave_figures.open_probability, ("equations", "sites_um"), ("one_state",)),
    "clamps": (lambda: calcium_results.hybrid_arrays()["clamps"], hybrid_figures.clamps, ("time_s",), ("net5",)),
    "heldout": (
        lambda: calcium_results.hybrid_arrays()["heldout"], hybrid_figures.heldout, ("expected",), ("conditioned",),
    ),
    "steps": (lambda: calcium_results.hybrid()["channels"], hybrid_figures.steps, (), ("one_state",)),
    "thresholds": (lambda: calcium_results.hybrid()["channels"], _thresholds, (), ("net4",)),
    "recovery": (lambda: calcium_results.hybrid()["channels"], hybrid_figures.recovery, (), ("one_state",)),
    "channels": (lambda: calcium_results.channel_arrays()["members"], _channels, (), ("potassium",)),
    "spikes": (
        lambda: calcium_results.channel_arrays()["spikes"], channel_figures.spikes, ("exact", "time_ms"), ("both",),
    ),
    "observations": (
        lambda: calcium_results.channel_arrays()["observations"], channel_figures.observations, (), ("1",),
    ),
    "validity": (
        lambda: calcium_results.verification()["benchmarks"], verification_figures.validity, (), ("radii",),
    ),
    "convergence": (
        lambda: calcium_results.verification()["benchmarks"], verification_figures.convergence, (),
        ("convergence", "front"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PARTS)
def test_figures_cope_with_missing_parts(name: str, tmp_path: Path) -> None:
    made, figure, needed, optional = PARTS[name]
    path, whole = tmp_path / "figure.png", made()
    assert figure(path, {}) is False
    for missing in needed:
        assert figure(path, {key: value for key, value in whole.items() if key != missing}) is False, missing
    assert not path.exists()
    for missing in optional:
        path.unlink(missing_ok=True)
        assert figure(path, {key: value for key, value in whole.items() if key != missing}), missing
        assert path.exists()


def test_no_waves_at_all_are_drawn(tmp_path: Path) -> None:
    found = calcium_results.map_arrays()
    found["speed_um_per_s"] = 0 * found["speed_um_per_s"]
    found["equations"]["speed_um_per_s"] = np.zeros(4)
    assert map_figures.wave_map(tmp_path / "map.png", found)
    rows = calcium_results.hybrid()["channels"]
    for entry in rows.values():
        if "steps" in entry:
            entry["steps"] |= {"channel": [0.0] * 4, "error": [None] * 4}
    assert hybrid_figures.steps(tmp_path / "steps.png", rows)


def test_text_numbers_and_attributes_are_read(tmp_path: Path) -> None:
    path = tmp_path / "courses.h5"
    calcium_results.write_arrays(path, calcium_results.course_arrays() | {"attributes": {"cable": "b"}})
    with h5py.File(path, "r+") as file:
        file["training/u_uM"] = np.ones(3, dtype=np.float32)
    parts = read_parts(path)
    assert parts["attributes"] == {"study": "calcium", "cable": "b"}
    assert parts["training"]["u_uM"].dtype == float
    assert course_counts(parts)["calibration"] == {
        "clamp": 10, "ramp": 10, "wave": 10, "paired pulses": 10, "all": 40, "groups": 20,
    }  # fmt: skip
