"""The program that draws the TMS study, and its surface pictures: whole runs, partial ones, and orientation."""

from __future__ import annotations

import importlib.util
import json
from argparse import Namespace
from pathlib import Path
from types import ModuleType

import h5py
import numpy as np
import pytest
import tms_results
from matplotlib.colors import Normalize
from PIL import Image
from test_tms_presentation import FIGURES

from understudy.errors import InputError
from understudy.provenance.fingerprint import REPOSITORY
from understudy.report import style
from understudy.report.sections import read_sections
from understudy.report.style import new_figure
from understudy.tms import field_figures, map_figures
from understudy.tms.compartments import COMPARTMENT_KINDS
from understudy.tms.threshold_figures import initiation_shares, shares_within


@pytest.fixture(scope="module")
def program() -> ModuleType:
    spec = importlib.util.spec_from_file_location("draw_tms", REPOSITORY / "scripts" / "draw_tms.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Namespace:
    """A whole run's files but for the head's settings; figures are small."""
    monkeypatch.setattr(style, "PNG_DPI", 40)
    for module in (map_figures, field_figures):
        monkeypatch.setattr(module, "MAP_DPI", 40)
    arguments = tms_results.write_run(tmp_path / "run")
    arguments.presentation = tmp_path / "figures" / "presentation.json"
    arguments.figures = [tmp_path / "figures" / f"{name}.png" for name in FIGURES]
    return arguments


def test_whole_run_is_drawn_and_told(program: ModuleType, arguments: Namespace) -> None:
    program.run(arguments)
    page = json.loads(arguments.presentation.read_text())
    slots = read_sections(page, "presentation.json")
    shown = {figure["file"] for every in slots.values() for section in every for figure in section.figures}
    shown |= {page["lead"]["file"]}
    # Without the head's settings its picture is a line, and the page does not show it.
    assert shown == {path.name for path in arguments.figures} - {"head.png"}
    for path in arguments.figures:
        assert (Image.open(path).height > 60) == (path.stem != "head"), path.name
    lines = dict(page["what_was_run"])
    assert lines["Positions"].startswith("3\u202f000 drawn, 750 (25.0 %)")
    assert "; 1 without one" in lines["Thresholds"] and "NaN" not in arguments.presentation.read_text()
    assert "L5_TTPC_1" in arguments.presentation.read_text()


def test_what_a_run_lacks_becomes_a_line(program: ModuleType, arguments: Namespace) -> None:
    for name in program.OPTIONAL:
        setattr(arguments, name, None)
    arguments.figures = [path for path in arguments.figures if path.stem in ("lead", "models", "gate")]
    program.run(arguments)
    page = json.loads(arguments.presentation.read_text())
    assert page["lead"] is None
    heights = {path.stem: Image.open(path).height for path in arguments.figures}
    assert heights["lead"] == heights["models"] == 28 < heights["gate"]
    assert "it has no comparison.json" in json.dumps(page)


def test_predictions_of_another_run_are_refused(program: ModuleType, arguments: Namespace) -> None:
    with h5py.File(arguments.predictions, "r+") as file:
        file["heldout/case"][0] = 10**6
    with pytest.raises(InputError, match=r"predictions\.h5: found case 1000000; accepted are those of thresholds\.h5"):
        program.run(arguments)
    assert not arguments.presentation.exists()


def test_unseen_pulse_is_judged_by_type(program: ModuleType, arguments: Namespace) -> None:
    arguments.figures = []
    program.run(arguments)
    page = json.loads(arguments.presentation.read_text())
    (beyond,) = [section for section in page["sections"] if section["id"] == "beyond"]
    row = beyond["table"]["rows"][3]
    assert row[0] == {"text": "A pulse never trained on", "note": "half sine"}
    assert [cell["text"] for cell in row[1:]] == ["2.00 %"] * 3
    assert row[1]["note"].startswith("linear polarisation 6.0 %")


def test_front_is_left_and_top_is_up_from_the_left() -> None:
    view = map_figures.side_view(np.array([[-40.0, 0.0, 0.0], [-30.0, 10.0, 5.0]]))
    front, back, top, bottom = (
        map_figures.project(np.array(point), view)
        for point in ((-30.0, 60.0, 0.0), (-30.0, -60.0, 0.0), (-30.0, 0.0, 60.0), (-30.0, 0.0, -30.0))
    )
    assert front[0] < back[0] and top[1] > bottom[1]
    axes = np.stack([view.right, view.up, view.eye])
    assert axes @ axes.T == pytest.approx(np.eye(3), abs=1e-12) and np.linalg.det(axes) == pytest.approx(1.0)


@pytest.mark.parametrize("flip", [False, True], ids=["outward", "inward"])
def test_near_side_is_seen_whichever_way_triangles_are_wound(flip: bool) -> None:
    points, triangles = tms_results.hemisphere()
    values = np.where(points[:, 0] < -35, 1.0, 0.0)
    with style.styled():
        axes = new_figure(2, 2).subplots()
        wound = triangles[:, ::-1] if flip else triangles
        view = map_figures.side_view(points)
        map_figures.draw_surface(axes, points, wound, values, Normalize(0, 1), "YlOrRd", view)
    (drawn,) = axes.collections
    colours = drawn.get_facecolor()[:, :3]
    # The far half, whose values are 0 (pale, with much blue), turns its back.
    assert np.mean(colours[:, 2] < 0.3) > 0.6 and 0.3 < len(colours) / len(triangles) < 0.7


def test_unknown_values_stay_bare() -> None:
    triangles = np.array([[0, 1, 2], [1, 2, 3]])
    values = np.array([np.nan, np.nan, np.nan, 1.0])
    colours = map_figures.face_colours(values, triangles, np.ones(2), Normalize(0, 1), "YlOrRd")
    assert colours[0] == pytest.approx(map_figures._BARE) and colours[1, 2] < 0.3


def test_slices_show_the_right_place() -> None:
    affine = np.diag([-2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = (20, -20, -10)
    values = np.zeros((21, 21, 11))
    values[5, 15, 7] = 1.0
    # That voxel lies at x 10, y 10, z 4 mm.
    image, edges = field_figures.plane_of(values, affine, np.array([0.0, 0.0, 4.0]), "axial")
    row, column = np.argwhere(image)[0]
    assert edges == (21.0, -21.0, -21.0, 21.0)
    assert edges[0] + (column + 0.5) / 21 * (edges[1] - edges[0]) == 10
    assert edges[2] + (row + 0.5) / 21 * (edges[3] - edges[2]) == 10


def test_heads_are_drawn(tmp_path: Path) -> None:
    grid = np.stack(np.meshgrid(*(np.arange(-9, 10),) * 3, indexing="ij"), axis=-1)
    labels = np.clip(6 - np.linalg.norm(grid, axis=-1).round() // 2 + 0, 0, 5).astype(np.uint8)
    affine = np.diag([10.0, 10.0, 10.0, 1.0])
    affine[:3, 3] = -90
    path = tmp_path / "head.png"
    shown = [("Head", labels, affine, np.array([-30.0, -20.0, 50.0]))] * 2
    field_figures.heads(path, shown, list(field_figures.TISSUE_COLOURS), [np.zeros((3, 3)), np.empty((0, 3))])
    assert Image.open(path).height > 600


def test_shares_of_initiation() -> None:
    kind = np.array([COMPARTMENT_KINDS.index(name) for name in ("node", "node", "unmyelinated", "soma")])
    shares = initiation_shares(kind, np.array([0.0, 50.0, 0.0, np.inf]))
    assert shares["node"] == 0.5 and shares["at_terminal"] == 0.5 and shares["near_terminal"] == 0.75
    assert initiation_shares(kind[:0], np.empty(0)) == {}


def test_shares_within_a_distance_reach_from_end_to_end() -> None:
    way, share = shares_within(np.zeros(4), 3000.0)
    assert (way[0], share[0]) == (0.0, 0.0) and (way[-1], share[-1]) == (3000.0, 1.0)
    way, share = shares_within(np.array([np.inf, 50.0, 5.0, 4000.0]), 3000.0)
    np.testing.assert_array_equal(way, [0.0, 5.0, 50.0, 3000.0])
    np.testing.assert_array_equal(share, [0.0, 0.25, 0.5, 0.5])
    assert shares_within(np.array([np.inf]), 3000.0)[1].tolist() == [0.0, 0.0]
