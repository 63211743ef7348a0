"""Neurons: files, statistics, synthetic cells, the gate on their thresholds, pictures."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from understudy.errors import InputError
from understudy.tms.cell_figures import draw_cells
from understudy.tms.gate import accepted_cell, attempted_cell, passes_gate, uniform_directions
from understudy.tms.morphology import APICAL, AXON, BASAL, SOMA, Morphology, Section, main_axon_terminal, soma_section
from understudy.tms.morphology_files import read_morphology, write_swc
from understudy.tms.morphology_statistics import measured_statistics
from understudy.tms.morphology_targets import TARGET_STATISTICS, outside_targets
from understudy.tms.synthesis import CELL_TYPES, synthesise

# Reconstructions are no part of the repository; they lie in its data folder or beside it.
_ROOT = Path(__file__).resolve().parents[2]
_FOLDERS = (_ROOT / "data" / "morphologies", _ROOT.parent / "shared" / "data" / "morphologies")

# Soma of radius 5 at (10, 20, 30); apical 40 up; axon 30 down, forked into 50 across and 20 down; one basal dendrite.
SWC = """\
# a small cell
1 1 10 20 30 5 -1
2 4 10 25 30 1 1
3 4 10 65 30 0.5 2
4 2 10 15 30 0.5 1
5 2 10 -15 30 0.5 4
6 2 60 -15 30 0.25 5
7 2 10 -35 30 0.25 5
8 3 15 20 30 1 1
9 3 45 20 70 0.5 8
"""

ASC = """\
("CellBody" (Color Red) (CellBody)
  (-8 -6 0 0) (8 -6 0 0) (8 6 0 0) (-8 6 0 0)
)
( (Color Blue) (Axon)
  (0 -6 0 1.0)
  (0 -6 0 1.0)
  (0 -40 0 1.0)
  (
    (0 -40 0 0.5)
    (30 -80 0 0.5)
    Normal
  |
    (0 -90 0 0.5)
    Normal
  )
)
( (Color Red) (Dendrite)
  (8 0 0 2.0)
  (60 0 10 1.0)
)
"""


def written(folder: Path, text: str, name: str = "cell.swc") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def chain(kind: str, parent: int, *points: tuple[float, float, float]) -> Section:
    return Section(kind, parent, np.array(points, dtype=float), np.ones(len(points)))


@pytest.fixture(scope="module")
def clones() -> dict[str, list[Morphology]]:
    """Five cells of each type."""
    return {cell_type: [attempted_cell(cell_type, n, 0, 0) for n in range(1, 6)] for cell_type in CELL_TYPES}


def test_swc_is_centred_and_turned(tmp_path):
    cell = read_morphology(written(tmp_path, SWC))
    assert cell.name == "cell"
    assert [section.kind for section in cell.sections].count(AXON) == 3
    soma = cell.sections[0]
    assert soma.kind == SOMA
    assert soma.length == pytest.approx(10) and soma.diameters == pytest.approx(10)
    assert soma.points.mean(axis=0) == pytest.approx(0)
    (apical,) = cell.sections_of(APICAL)
    assert cell.sections[apical].points[-1] == pytest.approx([0, 0, 45])
    # (x, y, z) -> (x, -z, y): depth in the file's +z becomes -y.
    (basal,) = cell.sections_of(BASAL)
    assert cell.sections[basal].points[-1] == pytest.approx([35, -40, 0])
    assert cell.sections[main_axon_terminal(cell)].points[-1] == pytest.approx([0, 0, -55])


def test_asc_with_a_contour(tmp_path):
    cell = read_morphology(written(tmp_path, ASC, "cell.asc"))
    # The contour's area is 16 x 12 um2.
    assert cell.sections[0].diameters[0] == pytest.approx(2 * np.sqrt(192 / np.pi), rel=1e-6)
    stem = cell.sections[cell.sections_of(AXON)[0]]
    assert stem.length == pytest.approx(34)
    assert len(stem.points) == 2, "the point given twice is kept once"
    lengths = sorted(cell.sections[i].length for i in cell.sections_of(AXON))
    assert lengths == pytest.approx([34, 50, 50])


def test_swc_with_a_soma_of_cylinders_keeps_its_area(tmp_path):
    text = "1 1 0 0 0 4 -1\n2 1 0 6 0 4 1\n3 1 0 12 0 6 2\n4 1 0 20 0 6 3\n5 2 0 0 0 1 1\n6 2 0 -30 0 1 5\n"
    cell = read_morphology(written(tmp_path, text))
    # Lateral area without the end faces, frusta by mean diameter: 6 x 8 + 6 x 10 + 8 x 12 = 204, times pi.
    assert cell.sections[0].diameters[0] ** 2 == pytest.approx(204, rel=1e-6)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1 1 0 0 0 5 -1\n2 3 0 5 0 1 1\n3 3 0 50 0 1 2\n", "no axon"),
        ("1 1 0 0 0 5 -1\n2 2 0 -5 0 1 1\n3 2 0 -5 0 1 2\n", "zero-length"),
        ("1 1 0 0 0 5 -1\n2 2 0 -5 0 1 1\n3 2 0 -50 0 1 2\n4 2 9 -50 0 1 9\n", "disconnected"),
        ("1 1 0 0 0 5 -1\n2 2 0 -5 0 1 1\n3 2 0 -50 0 1 2\n4 2 9 -50 0 1 -1\n5 2 30 -50 0 1 4\n", "second tree"),
        ("1 1 0 0 0 5 -1\n2 2 0 -500 0 1 1\n3 2 0 -550 0 1 2\n", "disconnected"),
        ("2 2 0 -5 0 1 -1\n3 2 0 -50 0 1 2\n", "no soma"),
        ("1 1 0 0 0 5 -1\n2 2 0 -5 0 1 1\n3 2 0 -50 0 1 2\n4 1 9 -50 0 1 -1\n5 2 30 -50 0 1 4\n", "soma"),
        ("1 1 0 0 0 5 -1\n2 2 0 -5 0 1 1\nfoo bar\n", "no readable morphology"),
        ("1 1 0 0 0 5 -1\n2 7 0 -5 0 1 1\n3 7 0 -15 0 1 2\n", "custom7"),
        ("1 1 0 0 0 5 -1\n2 2 0 -5 0 0 1\n3 2 0 -15 0 0 2\n", "diameter"),
        ("", "no "),
    ],
)
def test_bad_files_are_refused(tmp_path, text, words):
    path = written(tmp_path, text)
    with pytest.raises(InputError, match=words) as error:
        read_morphology(path)
    assert "accepted" in str(error.value) or "no readable" in str(error.value)
    assert "\x1b" not in str(error.value)


def test_unknown_format_missing_file_and_cut_off_asc(tmp_path):
    with pytest.raises(InputError, match=r"'\.txt'; accepted are \.swc, \.asc"):
        read_morphology(written(tmp_path, SWC, "cell.txt"))
    with pytest.raises(InputError, match="no file"):
        read_morphology(tmp_path / "absent.swc")
    with pytest.raises(InputError):
        read_morphology(written(tmp_path, ASC[:250], "cut.asc"))


def test_a_cell_without_axon_can_be_asked_for(tmp_path):
    text = "1 1 0 0 0 5 -1\n2 3 0 5 0 1 1\n3 3 0 50 0 1 2\n"
    cell = read_morphology(written(tmp_path, text), require_axon=False)
    assert main_axon_terminal(cell) is None


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ((chain(AXON, -1, (0, 0, 0), (0, 0, 5)),), "soma as section 0"),
        ((soma_section(10), chain(AXON, -1, (0, 0, -5), (0, 0, -9))), "second tree"),
        ((soma_section(10), chain(AXON, 2, (0, 0, -5), (0, 0, -9))), "parent 2"),
        ((soma_section(10), chain(AXON, 0, (0, 0, -5), (0, 0, -5))), "zero length"),
        ((soma_section(10), chain(AXON, 0, (0, 0, -5), (0, 0, np.nan))), "not finite"),
        ((soma_section(10), chain(AXON, 0, (0, 0, -5))), "n of 2 or more"),
        ((soma_section(10), chain("glia", 0, (0, 0, -5), (0, 0, -9))), "kind 'glia'"),
        (
            (soma_section(10), chain(AXON, 0, (0, 0, -5), (0, 0, -9)), chain(AXON, 1, (0, 0, -10), (0, 0, -20))),
            "disconnected",
        ),
    ],
)
def test_sections_that_are_no_cell_are_refused(sections, words):
    with pytest.raises(InputError, match=words):
        Morphology("cell", sections)


def test_written_cells_are_read_again(tmp_path, clones):
    for cells in clones.values():
        write_swc(cells[0], tmp_path / "cell.swc")
        again = read_morphology(tmp_path / "cell.swc")
        assert len(again.sections) == len(cells[0].sections)
        # Sections come in another order; lengths, and where they end, stay. Files keep 1e-4 um, the reader single
        # precision.
        for kind in (AXON, BASAL, APICAL):
            ends = [
                np.array(sorted(tuple(cell.sections[i].points[-1].round(2)) for i in cell.sections_of(kind)))
                for cell in (cells[0], again)
            ]
            np.testing.assert_allclose(*ends, atol=0.011)
        before, after = (measured_statistics(cell)[AXON]["total_um"] for cell in (cells[0], again))
        assert after == pytest.approx(before, rel=1e-4)


def test_statistics_of_a_cell_known_by_hand(tmp_path):
    axon = measured_statistics(read_morphology(written(tmp_path, SWC)))[AXON]
    assert (axon["stems"], axon["sections"], axon["terminals"]) == (1, 3, 2)
    assert axon["total_um"] == pytest.approx(100)
    assert (axon["order_median"], axon["order_max"]) == (1, 1)
    assert axon["inner_q50_um"] == pytest.approx(30)
    assert axon["path_p50_um"] == pytest.approx(65)
    assert axon["angle_q50_deg"] == pytest.approx(90)
    assert axon["straightness_p10"] == pytest.approx(1)
    assert axon["height_min_um"] == pytest.approx(-55)


@pytest.mark.parametrize("cell_type", CELL_TYPES)
def test_synthetic_cells_lie_within_the_ranges_of_reconstructions(cell_type, clones):
    """Counts and total length within those of five reconstructed cells, all else within ranges around their medians."""
    for cell in clones[cell_type]:
        assert outside_targets(cell, cell_type) == []


@pytest.mark.parametrize("cell_type", CELL_TYPES)
def test_a_type_has_the_lengths_and_diameters_of_its_reconstructions(cell_type, clones):
    """Medians over the clones are nearer to the reconstructions' than single cells have to be.

    Medians of five cells scatter by about half as much as cells: 25 % for lengths, 10 % for diameters of the axon.
    """
    measured = [measured_statistics(cell) for cell in clones[cell_type]]
    for kind, ranges in TARGET_STATISTICS[cell_type].items():
        for name in ("path_p50_um", "path_p90_um", "terminal_q50_um", "inner_q50_um"):
            found = np.median([statistics[kind][name] for statistics in measured])
            assert found == pytest.approx(ranges[name][0], rel=0.25), (kind, name)
    found = np.median([statistics[AXON]["diameter_p50_um"] for statistics in measured])
    assert found == pytest.approx(TARGET_STATISTICS[cell_type][AXON]["diameter_p50_um"][0], rel=0.1)


@pytest.mark.parametrize("cell_type", ["L23_PC", "L5_TTPC"])
def test_the_main_axon_descends_and_the_apical_dendrite_ascends(cell_type, clones):
    for cell in clones[cell_type]:
        assert cell.sections[main_axon_terminal(cell)].points[-1, 2] < -500
        apical = np.concatenate([cell.sections[i].points for i in cell.sections_of(APICAL)])
        assert apical[:, 2].max() > 250
        assert cell.sections[cell.sections_of(AXON)[0]].points[0, 2] < 0


def test_equal_generators_give_equal_cells_and_others_do_not():
    one, other, third = (synthesise("L23_PC", np.random.default_rng(seed), "cell") for seed in (4, 4, 5))
    for a, b in zip(one.sections, other.sections, strict=True):
        assert a.kind == b.kind and a.parent == b.parent
        np.testing.assert_array_equal(a.points, b.points)
        np.testing.assert_array_equal(a.diameters, b.diameters)
    assert len(one.sections) != len(third.sections) or not np.array_equal(
        one.sections[1].points, third.sections[1].points
    )


def test_a_cell_takes_less_than_half_a_second(clones):
    """Processor time: the machine may be busy with other things. ``clones`` has compiled the kernels."""
    assert clones
    for cell_type in CELL_TYPES:
        start = time.process_time()
        synthesise(cell_type, np.random.default_rng(1), "cell")
        assert time.process_time() - start < 0.5


def test_unknown_cell_type():
    with pytest.raises(InputError, match="found 'L6'; accepted are L23_PC, L4_LBC, L5_TTPC"):
        synthesise("L6", np.random.default_rng(0), "cell")
    with pytest.raises(InputError, match="found 'L6'"):
        accepted_cell("L6", 1, 0, lambda cell, directions: np.full(398, 250.0))


def test_directions_are_those_of_the_published_thresholds():
    directions = uniform_directions()
    assert directions.shape == (398, 3)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1.0, rtol=1e-14)
    assert len(np.unique(directions.round(9), axis=0)) == 398
    np.testing.assert_array_equal(directions[[0, -1]], [[0, 0, 1], [0, 0, -1]])
    # The grid is symmetric: every direction's opposite is in it.
    np.testing.assert_allclose(np.abs(directions @ directions.T + 1).min(axis=1), 0.0, atol=1e-12)


def test_gate():
    good = np.linspace(200, 400, 398)
    assert passes_gate(good) == (True, "")
    for bad, words in (
        (0.5 * good, "minimum"),
        (1.6 * good, "median"),
        (np.linspace(190, 800, 398) ** 1.0, "largest to smallest 4.21"),
        (np.where(np.arange(398) == 7, np.nan, good), "no threshold in 1 of 398"),
    ):
        accepted, reason = passes_gate(bad)
        assert not accepted and words in reason
    with pytest.raises(InputError, match="398"):
        passes_gate(good[:5])


def test_rejected_cells_are_counted_and_attempts_draw_anew():
    """Thresholds that fall with the axon's length reject the shorter half of the cells."""
    seen = []

    def thresholds_of(cell: Morphology, directions: np.ndarray) -> np.ndarray:
        length = measured_statistics(cell)[AXON]["total_um"]
        seen.append(length)
        return np.linspace(1.0, 2.0, len(directions)) * 200.0 * (1.0 if length > 9000 else 3.0)

    results = [accepted_cell("L23_PC", number, 0, thresholds_of) for number in range(1, 4)]
    assert len(set(seen)) == len(seen), "each attempt is another cell"
    assert sum(len(rejections) for _, rejections in results) == sum(length <= 9000 for length in seen) > 0
    assert all("minimum" in reason for _, rejections in results for reason in rejections)
    cell, rejections = results[0]
    again = attempted_cell("L23_PC", 1, 0, len(rejections))
    np.testing.assert_array_equal(cell.sections[-1].points, again.sections[-1].points)
    with pytest.raises(InputError, match="no cell within the gate"):
        accepted_cell("L23_PC", 1, 0, lambda cell, directions: np.full(len(directions), 960.0), most_attempts=2)


def test_picture_of_all_cells(tmp_path, clones):
    rows = [(cell_type, clones[cell_type][:number]) for cell_type, number in (("L23_PC", 2), ("L5_TTPC", 1))]
    draw_cells(rows, tmp_path / "cells.png")
    with Image.open(tmp_path / "cells.png") as image:
        colours = {colour for _, colour in image.convert("RGB").getcolors(256)}
        # Two columns and two rows, one scale for all.
        assert min(image.size) > 900
    assert len(colours) > 8
    first = (tmp_path / "cells.png").read_bytes()
    draw_cells(rows, tmp_path / "cells.png")
    assert (tmp_path / "cells.png").read_bytes() == first


@pytest.mark.parametrize(
    ("file", "axon_um", "apical_um"),
    [("C060114A5.asc", 18705, 9256), ("C010398B-P2.CNG.swc", 5072, 1081), ("bio_neuron-000.asc", 17965, None)],
)
def test_reconstructed_cells(file, axon_um, apical_um):
    """Lengths as stated with the data: 18.7 and 9.3 mm, 5.1 and 1.1 mm, 18.0 mm."""
    path = next((folder / file for folder in _FOLDERS if (folder / file).is_file()), None)
    if path is None:
        pytest.skip(f"{file} is not in the data folder")
    statistics = measured_statistics(read_morphology(path))
    assert statistics[AXON]["total_um"] == pytest.approx(axon_um, abs=1)
    assert (APICAL in statistics) == (apical_um is not None)
    if apical_um is not None:
        assert statistics[APICAL]["total_um"] == pytest.approx(apical_um, abs=1)
        assert statistics[APICAL]["height_high_um"] > 300


def test_statistics_have_the_definitions_of_the_published_ones():
    """A reconstructed layer 5 cell, one of the six whose medians are known.

    Single cells differ from the median of six by up to 20 % in these.
    """
    path = next((folder / "C060114A5.asc" for folder in _FOLDERS if (folder / "C060114A5.asc").is_file()), None)
    if path is None:
        pytest.skip("C060114A5.asc is not in the data folder")
    axon = measured_statistics(read_morphology(path))[AXON]
    published = {
        "inner_q25_um": 18.1,
        "inner_q50_um": 47.2,
        "inner_q75_um": 97.2,
        "terminal_q50_um": 72.3,
        "order_median": 6,
        "order_max": 10,
        "path_p50_um": 543,
        "angle_q25_deg": 55.4,
        "angle_q50_deg": 77.5,
        "angle_q75_deg": 93.9,
    }
    for name, value in published.items():
        assert axon[name] == pytest.approx(value, rel=0.2), name
