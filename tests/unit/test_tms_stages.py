"""What lies between the TMS study's physics: files, plans of cases, blocks, placed cells, filled cubes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from understudy.errors import InputError
from understudy.tms.case_plan import shares_of, wanted_sets
from understudy.tms.cell_model import build_compartments
from understudy.tms.cell_placement import Patch, random_positions
from understudy.tms.config import Pulses, Sampling
from understudy.tms.farmed_thresholds import BLOCK, Cases, case_blocks, filled_cube
from understudy.tms.field_basis import basis
from understudy.tms.field_cube import cube_points
from understudy.tms.field_sampling import CellPose
from understudy.tms.fields import GridField
from understudy.tms.files import Cell, Placement, read_cells, read_placements, write_cells, write_placements
from understudy.tms.initiation import distance_to_terminal
from understudy.tms.prediction import chosen_pulse, read_positions
from understudy.tms.pulse_choice import study_pulses
from understudy.tms.synthesis import synthesise


@pytest.fixture(scope="module")
def cell() -> Cell:
    morphology = synthesise("L23_PC", np.random.default_rng(1), "L23_PC_1")
    return Cell(morphology, "L23_PC", "synthetic", np.linspace(150, 400, 5), 2)


def test_cells_and_placements_come_back_as_written_and_equal_content_is_equal_bytes(cell: Cell, tmp_path: Path) -> None:
    directions = np.eye(3)
    for name in ("a.h5", "b.h5"):
        write_cells(tmp_path / name, [cell], directions)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    (back,), found = read_cells(tmp_path / "a.h5")
    assert np.array_equal(found, directions) and back.name == "L23_PC_1" and back.rejected == 2
    for one, other in zip(cell.morphology.sections, back.morphology.sections, strict=True):
        assert (one.kind, one.parent) == (other.kind, other.parent)
        assert np.array_equal(one.points, other.points) and np.array_equal(one.diameters, other.diameters)
    placement = Placement("training patch 1, placement 1", "training", 0, 0, np.arange(3.0), np.eye(4))
    write_placements(tmp_path / "p.h5", [placement], [np.array([3, 5])])
    (again,), (vertices,) = read_placements(tmp_path / "p.h5")
    assert again.name == placement.name and np.array_equal(again.pose, np.eye(4)) and vertices.tolist() == [3, 5]
    with pytest.raises(InputError, match="found content 'placements', schema 1; accepted is 'cells'"):
        read_cells(tmp_path / "p.h5")


def test_sets_of_cases_follow_the_configuration() -> None:
    sampling, pulses = Sampling().model_dump(), Pulses()
    sets = {wanted.subset: wanted for wanted in wanted_sets(sampling, pulses)}
    assert sets["unseen_pulse"].pulses == (1 + len(pulses.others),)
    assert sets["sampled"].shares == pytest.approx([0.65, *[0.35 / 3] * 3])
    assert sum(shares_of(17, 5)) == 17 and max(shares_of(17, 5)) - min(shares_of(17, 5)) == 1
    assert next(iter(study_pulses(pulses))) == "monophasic"
    with pytest.raises(InputError, match=r"pulses\.file: found none"):
        study_pulses(pulses.model_copy(update={"unseen": "file"}))


def test_blocks_hold_every_case_once_and_one_cell_and_pulse_each() -> None:
    generator = np.random.default_rng(0)
    count = 1000
    cases = Cases(
        cell=generator.integers(3, size=count),
        placement=generator.integers(7, size=count),
        pulse=generator.integers(2, size=count),
        pose=CellPose(np.zeros((count, 3)), np.tile([0.0, 0, 1], (count, 1)), np.zeros(count)),
    )
    blocks = case_blocks(cases, sizes=[10, 20, 30])
    assert sorted(case for block in blocks for case in block.cases) == list(range(count))
    for block in blocks:
        rows = list(block.cases)
        assert len(rows) <= BLOCK and len(set(cases.cell[rows])) == len(set(cases.pulse[rows])) == 1
        assert block.cost == len(rows) * 10 * (cases.cell[rows[0]] + 1)


def test_gaps_of_a_cube_are_filled_by_the_polynomial_that_fits_the_rest() -> None:
    """Exact where the field is such a polynomial: rounding alone is allowed."""
    offsets = cube_points("L5_TTPC")
    coefficients = np.random.default_rng(3).normal(size=(2, 26))
    whole = np.einsum("gct,nt->ngc", basis(1e-3 * offsets), coefficients)
    holed = whole.copy()
    holed[0, :200] = np.nan
    centre = np.array([[0.0, 0.0, 2.0], [0.0, 3.0, 0.0]])
    filled, found = filled_cube(holed, offsets, centre)
    strength = np.array([2.0, 3.0])[:, None]
    assert filled == pytest.approx(whole / strength[:, :, None], abs=1e-9)
    assert found == pytest.approx(coefficients / strength, abs=1e-9)


def flat_cortex() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A square of cortex in the plane: white at z = 0, pia at z = 3 mm."""
    x, y = np.meshgrid(np.linspace(-5, 5, 6), np.linspace(-5, 5, 6), indexing="ij")
    white = np.stack([x.ravel(), y.ravel(), np.zeros(36)], axis=1)
    corner = np.arange(36).reshape(6, 6)
    low = np.stack([corner[:-1, :-1], corner[1:, :-1], corner[1:, 1:]], axis=-1).reshape(-1, 3)
    high = np.stack([corner[:-1, :-1], corner[1:, 1:], corner[:-1, 1:]], axis=-1).reshape(-1, 3)
    return white, white + np.array([0, 0, 3.0]), np.concatenate([low, high])


def test_positions_are_uniform_over_the_patch_and_at_depth() -> None:
    white, pial, triangles = flat_cortex()
    position, normal = random_positions(white, pial, triangles, 0.4, 4000, np.random.default_rng(0))
    assert position[:, 2] == pytest.approx(np.full(4000, 1.8)) and normal == pytest.approx(
        np.tile([0, 0, 1.0], (4000, 1))
    )
    # The standard error of a mean over 10 mm is 0.05 mm; four of them.
    assert np.abs(position[:, :2].mean(axis=0)).max() < 0.2 and np.abs(position[:, :2]).max() <= 5


def test_cells_are_refused_where_too_much_of_them_lies_outside_tissue(cell: Cell) -> None:
    axis = np.arange(-12.0, 12.1)
    value = np.zeros((25, 25, 25, 3), dtype=np.float32)
    value[..., 0] = 1
    affine = np.diag([1.0, 1, 1, 1])
    affine[:3, 3] = -12
    # Tissue on one side only: cells near its edge reach out of it.
    tissue = np.broadcast_to((axis < 2)[:, None, None], (25, 25, 25))
    model = build_compartments(cell.morphology, cell.cell_type).compartments
    surface = flat_cortex()
    patch = Patch("patch", GridField(value, affine, tissue), surface, np.arange(36), seed=5)
    poses, vertex, drawn, refused = patch.draw(model, 0.4, 30, 2, (0, 0), most=0.05)
    again = Patch("patch", GridField(value, affine, tissue), surface, np.arange(36), seed=5).draw(
        model, 0.4, 30, 2, (0, 0), most=0.05
    )
    assert np.array_equal(poses.position, again[0].position) and np.array_equal(vertex, again[1])
    assert len(poses) == 30 and drawn == 30 + refused and refused > 0
    assert poses.position[:, 0].max() < 2.5
    with pytest.raises(InputError, match="found room for"):
        Patch("patch", GridField(value, affine, tissue & False), surface, np.arange(36), 5).draw(
            model, 0.4, 3, 1, (0, 0), most=0.05
        )
    with pytest.raises(InputError, match="no triangle"):
        Patch("patch", GridField(value, affine, tissue), surface, np.array([0, 20]), seed=5)


def test_distance_to_the_nearest_terminal_falls_along_the_axon(cell: Cell) -> None:
    model = build_compartments(cell.morphology, cell.cell_type).compartments
    distance = distance_to_terminal(model)
    assert (distance[model.terminal] == 0).all()
    for terminal in model.terminal[:5]:
        parent = model.parent[terminal]
        assert distance[parent] <= model.path[terminal] - model.path[parent] + 1e-9
    dendrite = np.flatnonzero(model.kind == 1)
    assert np.isinf(distance[dendrite]).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cell,x_mm\n", "found no"),
        ("cell,x_mm,y_mm,z_mm,nx,ny,nz,azimuth_deg\na,0,0,0,0,0,0,0\n", "row 2: found 0, 0, 0, 0, 0, 0, 0"),
        ("cell,x_mm,y_mm,z_mm,nx,ny,nz,azimuth_deg\na,0,0,nan,0,0,1,0\n", "row 2"),
        ("cell,x_mm,y_mm,z_mm,nx,ny,nz,azimuth_deg\nb,0,0,0,0,0,1,0\n", "found cell 'b'; accepted are all, a"),
    ],
)
def test_a_wrong_table_of_positions_is_refused_by_row(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "positions.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_positions(path, ["a"])


def test_the_word_all_stands_for_every_cell(tmp_path: Path) -> None:
    path = tmp_path / "positions.csv"
    path.write_text("name,cell,x_mm,y_mm,z_mm,nx,ny,nz,azimuth_deg\nhere,all,1,2,3,0,0,2,90\n")
    found = read_positions(path, ["a", "b"])
    assert found.cell == ["a", "b"] and found.name == ["here", "here"]
    assert found.pose.normal[0] == pytest.approx([0, 0, 1]) and found.pose.azimuth_rad[1] == pytest.approx(np.pi / 2)
    with pytest.raises(InputError, match="--pulse: found 'sine'"):
        chosen_pulse("sine")
