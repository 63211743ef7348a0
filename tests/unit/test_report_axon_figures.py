"""The axon study's figures: orientation, planes, and that each one is drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from understudy.axon import figures

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
    figures.injury_maps(path, {"Injury": values}, index, SHAPE, AFFINE, centre, *_anatomy(), planes_mm=planes_mm)
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
    assert figures.representative_planes([values, 3 * values], centre) == pytest.approx((20.0, -20.0, 10.0), abs=5.0)


def test_volume_is_empty_outside_white_matter() -> None:
    volume = figures.volume_of(np.array([0.25]), np.array([[1, 2, 3]]), (3, 4, 5))
    assert volume[1, 2, 3] == 0.25 and np.isnan(volume).sum() == 59


def test_all_twelve_targets_have_names_and_a_group() -> None:
    grouped = [target for group in figures.target_groups() for target in group["targets"]]
    assert len(grouped) == len(set(grouped)) == 12
    assert set(grouped) == set(figures.target_labels())


def test_every_figure_is_drawn_the_same_twice(tmp_path: Path) -> None:
    generator = np.random.default_rng(3)
    labels = list(figures.LABELS.values())
    time_ms = np.arange(21.0)
    index, centre = _voxels()
    direct = {label: generator.random(len(index)) for label in labels[:1]}
    surrogate = {label: values + 0.01 for label, values in direct.items()}
    mean = generator.random((40, 4))
    rates = np.array([1.0, 10.0, 60.0])
    outputs = {"elongation": generator.random((3, 4)), "Bell": generator.random((3, 4))}
    drawings = {
        "direct": lambda path: figures.direct_and_surrogate_maps(
            path, direct, surrogate, index, SHAPE, AFFINE, centre, *_anatomy()
        ),
        "pulses": lambda path: figures.pulses(
            path, time_ms, np.ones((3, 21, 3)), ["training", "calibration", "heldout"]
        ),
        "histories": lambda path: figures.histories(path, time_ms, generator.random((2, 21)) * 0 + 0.1, ["a", "b"]),
        "spread": lambda path: figures.layout_spread(path, mean, 0.2 * mean, labels),
        "no_injury": lambda path: figures.layout_spread(path, 0 * mean, 0 * mean, labels),
        "rate": lambda path: figures.rate_dependence(path, rates, outputs, labels, 0.05),
        "response": lambda path: figures.response(path, rates / 100, outputs, labels),
    }
    for name, draw in drawings.items():
        first, second = tmp_path / f"{name}_1.png", tmp_path / f"{name}_2.png"
        draw(first)
        draw(second)
        assert first.read_bytes() == second.read_bytes(), name
        assert np.asarray(Image.open(first).convert("L")).std() > 3, name  # not an empty sheet
