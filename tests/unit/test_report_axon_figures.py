"""The axon study's figures: orientation, planes, and that each one is drawn."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import axon_results
import numpy as np
import pytest
from PIL import Image

from understudy.axon import comparison_figures, error_figures, figures, map_figures
from understudy.report import style
from understudy.report.sheets import unavailable

AFFINE = np.diag([10.0, 10.0, 10.0, 1.0])
AFFINE[:3, 3] = (-50.0, -60.0, -40.0)
SHAPE = (11, 13, 9)


def _anatomy() -> tuple[np.ndarray, np.ndarray]:
    """A grey ball on the grid of the voxels."""
    place = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"), axis=-1) * 10.0 + AFFINE[:3, 3]
    return (np.linalg.norm(place, axis=-1) < 45).astype(np.float32) * 0.6, AFFINE


def _voxels() -> tuple[np.ndarray, np.ndarray]:
    t1, _ = _anatomy()
    index = np.argwhere(t1 > 0)
    return index, index * 10.0 + AFFINE[:3, 3]


def _coloured_centre(path: Path, chosen: np.ndarray) -> np.ndarray:
    """Mean row and column of the axial slice's coloured pixels, where only the ``chosen`` voxels have a value."""
    index, centre = _voxels()
    values = np.where(chosen, 1.0, np.nan)
    planes_mm = (0.0, 0.0, 0.0)
    map_figures.injury_maps(path, {"Injury": values}, index, SHAPE, AFFINE, centre, *_anatomy(), planes_mm=planes_mm)
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    axial = pixels[:, : pixels.shape[1] // 4]
    coloured = np.argwhere(axial[..., 0] - axial[..., 2] > 60)
    assert len(coloured) > 50
    return coloured.mean(axis=0)


def test_right_is_on_the_right_and_front_is_up(tmp_path: Path) -> None:
    _, centre = _voxels()
    right_front = (centre[:, 0] > 5) & (centre[:, 1] > 5)
    left_back = (centre[:, 0] < -5) & (centre[:, 1] < -5)
    front, back = (_coloured_centre(tmp_path / "map.png", chosen) for chosen in (right_front, left_back))
    # Rows count from the top; the two quarters are some 40 mm apart, far more than 20 pixels.
    assert front[0] < back[0] - 20
    assert front[1] > back[1] + 20


def test_planes_go_through_the_worst_place() -> None:
    _, centre = _voxels()
    values = np.exp(-(np.linalg.norm(centre - (20.0, -20.0, 10.0), axis=1) ** 2) / 200)
    assert map_figures.representative_planes([values, 3 * values], centre) == pytest.approx(
        (20.0, -20.0, 10.0), abs=5.0
    )


def test_volume_is_empty_outside_white_matter() -> None:
    volume = map_figures.volume_of(np.array([0.25]), np.array([[1, 2, 3]]), (3, 4, 5))
    assert volume[1, 2, 3] == 0.25 and np.isnan(volume).sum() == 59


def test_all_twelve_targets_have_names_and_a_group() -> None:
    grouped = [target for group in figures.target_groups() for target in group["targets"]]
    assert len(grouped) == len(set(grouped)) == 12
    assert set(grouped) == set(figures.target_labels())


def drawings() -> dict[str, Callable[[Path], None]]:
    """Every figure on small data, and on data that lack what may be missing."""
    generator = np.random.default_rng(3)
    labels = list(figures.LABELS.values())
    means = {f"{output}_mean": name for output, name in figures.NAMES.items()}
    time_ms = np.arange(21.0)
    index, centre = _voxels()
    place = (index, SHAPE, AFFINE, centre, *_anatomy())
    direct = {label: generator.random(len(index)) for label in labels}
    surrogate = {label: values + 0.01 for label, values in direct.items()}
    one = {labels[0]: direct[labels[0]]}
    mean = generator.random((40, 4))
    rates = np.array([1.0, 10.0, 60.0])
    outputs = {"elongation": generator.random((3, 4)), "Bell": generator.random((3, 4))}
    errors = axon_results.white_matter_errors()
    gaps = [{**entry, "targets": {"tau_failed": None}} for entry in errors["by_strain"]]
    sampling = axon_results.sampling_comparison()["ways"]
    some = {way: [{"n": p["n"], "random": p["random"]} for p in points] for way, points in sampling.items()}
    parts = (("Reference", axon_results.OUTPUTS), ("Mean", axon_results.MEANS))
    criteria = axon_results.criteria()["criteria"]
    by_label = {figures.LABELS[target]: entry for target, entry in errors["targets"].items()}
    return {
        "lead": lambda path: map_figures.direct_and_surrogate_maps(
            path, direct, surrogate, *place, times=("37 min on 2 cores", "0.9 s on one core")
        ),
        "one output": lambda path: map_figures.direct_and_surrogate_maps(path, one, one, *place),
        "sexes": lambda path: map_figures.sex_maps(path, direct, surrogate, *place),
        "pulses": lambda path: figures.pulses(
            path, time_ms, np.ones((3, 21, 3)), ["training", "calibration", "heldout"]
        ),
        "histories": lambda path: figures.histories(path, time_ms, generator.random((2, 21)) * 0 + 0.1, ["a", "b"]),
        "spread": lambda path: figures.layout_spread(path, mean, 0.2 * mean, labels),
        "no injury": lambda path: figures.layout_spread(path, 0 * mean, 0 * mean, labels),
        "rate": lambda path: figures.rate_dependence(path, rates, outputs, labels, 0.05),
        "response": lambda path: figures.response(path, rates / 100, outputs, labels),
        "voxels": lambda path: error_figures.direct_against_surrogate(path, direct, surrogate, by_label),
        "no injury anywhere": lambda path: error_figures.direct_against_surrogate(
            path, {"a": np.zeros(9)}, {"a": np.full(9, np.nan)}, {"a": {"r2": None, "nrmse": None}}
        ),
        "strain": lambda path: error_figures.error_by_strain(path, errors["by_strain"], figures.LABELS),
        "strain with gaps": lambda path: error_figures.error_by_strain(path, gaps, figures.LABELS),
        "tracts": lambda path: error_figures.error_by_tract(path, errors["by_tract"], figures.NAMES),
        "gain": lambda path: error_figures.unexplained_variance(
            path, labels, {"network": [0.9, 0.8, None, 1.0], "spline": [0.5] * 4}, "network", [0.99] * 4, [("All", 4)]
        ),
        "sampling": lambda path: comparison_figures.sampling_efficiency(path, sampling, figures.LABELS),
        "sampling, one set": lambda path: comparison_figures.sampling_efficiency(path, some, figures.LABELS),
        "sexes by tract": lambda path: comparison_figures.sexes_by_tract(
            path, axon_results.sex_comparison()["by_tract"], means
        ),
        "criteria": lambda path: comparison_figures.criteria_errors(path, criteria, parts, figures.target_labels()),
        "missing": lambda path: unavailable(path, "not drawn, this run has not the data"),
    }


@pytest.mark.parametrize("name", sorted(drawings()))
def test_figure_is_drawn(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(style, "PNG_DPI", 50)  # nobody looks at these
    path = tmp_path / "a.png"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawings()[name](path)
    assert np.asarray(Image.open(path).convert("L")).std() > 3  # not an empty sheet


@pytest.mark.parametrize("name", ["lead", "gain"])
def test_same_figure_has_the_same_bytes_fit_for_print(tmp_path: Path, name: str) -> None:
    first, second = tmp_path / "1.png", tmp_path / "2.png"
    for path in (first, second):
        drawings()[name](path)
    assert first.read_bytes() == second.read_bytes()
    picture = Image.open(first)
    assert picture.width == 2220 and picture.info["dpi"] == pytest.approx((300, 300), abs=0.1)


def _red_and_blue(path: Path) -> tuple[int, int]:
    """Clearly red and clearly blue pixels of the third column of panels, where differences are."""
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    rows, columns = pixels.shape[:2]
    third = pixels[int(0.3 * rows) : int(0.75 * rows), int(0.34 * columns) : int(0.48 * columns)]
    excess = third[..., 0] - third[..., 2]
    return int((excess > 50).sum()), int((excess < -50).sum())


def test_difference_is_the_second_less_the_first(tmp_path: Path) -> None:
    index, centre = _voxels()
    place = (index, SHAPE, AFFINE, centre, *_anatomy())
    low, high = np.full(len(index), 0.2), np.full(len(index), 0.4)
    planes_mm = (0.0, 0.0, 0.0)
    map_figures.direct_and_surrogate_maps(tmp_path / "over.png", {"a": low}, {"a": high}, *place, planes_mm=planes_mm)
    map_figures.direct_and_surrogate_maps(tmp_path / "under.png", {"a": high}, {"a": low}, *place, planes_mm=planes_mm)
    red, blue = _red_and_blue(tmp_path / "over.png")
    assert red > 1000 and blue == 0
    red, blue = _red_and_blue(tmp_path / "under.png")
    assert blue > 1000 and red == 0


def test_worst_tract_is_on_top_and_filled_voxels_are_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    monkeypatch.setattr(error_figures, "save_png", lambda figure, path, **_: drawn.append(figure))
    error_figures.error_by_tract(tmp_path / "a.png", axon_results.white_matter_errors()["by_tract"], figures.NAMES)
    axes = drawn[0].axes[0]
    heights = {
        label.get_text().split("  ")[0]: place
        for place, label in zip(axes.get_yticks(), axes.get_yticklabels(), strict=True)
    }
    assert max(heights, key=heights.get) == axon_results.TRACTS[-1]  # the fake errors rise with the tract's number
    assert min(heights, key=heights.get) == "no streamlines (filled)"


@pytest.mark.parametrize("smallest", [0.015, 0.1, 1e-4])
def test_labels_of_the_criteria_stay_apart(smallest: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    monkeypatch.setattr(comparison_figures, "save_png", lambda figure, path, **_: drawn.append(figure))
    left = (smallest, 0.3, 0.5, 0.7)
    errors = {target: {"r2": 1 - value} for target, value in zip(axon_results.OUTPUTS, left, strict=True)}
    parts = [("Reference", axon_results.OUTPUTS)] * 2
    with style.styled():
        comparison_figures.criteria_errors(
            tmp_path / "a.png", {"Bell": {"targets": errors}}, parts, figures.target_labels()
        )
        drawn[0].draw_without_rendering()
        for axes in drawn[0].axes:
            low, high = axes.get_xlim()
            ticks = [
                tick.label1.get_window_extent()
                for tick in (*axes.xaxis.get_major_ticks(), *axes.xaxis.get_minor_ticks())
                if tick.label1.get_text() and low <= tick.get_loc() <= high
            ]
            ends = sorted((box.x0, box.x1) for box in ticks)
            assert len(ends) >= 2
            assert all(one[1] < next_one[0] for one, next_one in pairwise(ends))


@pytest.mark.parametrize("value", [0.45, 0.3, 1.49, 5.1, 999.9999999999999, 1e-3, 2e-7])
def test_ends_of_a_scale_are_round(value: float) -> None:
    end = map_figures.round_below(value)
    assert 0.6 * value < end <= value and len(f"{end:.0e}".split("e")[0]) == 1
    assert map_figures.round_below(0.45) == pytest.approx(0.4) and map_figures.round_below(1.6) == 1.5


def test_long_names_are_broken_in_the_middle() -> None:
    assert figures.two_lines("Neurofilament side-arms failed") == "Neurofilament\nside-arms failed"
    assert figures.two_lines("Tau failed") == "Tau failed"
    assert figures.two_lines("Side-arms failed", 12) == "Side-arms\nfailed"


def test_classes_of_strain_in_per_cent() -> None:
    assert error_figures.strain_range({"low": 0.005, "high": 0.01}) == "0.5–1"
    assert error_figures.strain_range({"low": 0.2, "high": None}) == "above 20"
