"""Figures that every study shares: marks that can be told apart, axes that end where values do, labels that fit."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from understudy.report import figures
from understudy.report.style import styled


def shown_ticks(axes: Axes, side: str = "x") -> list[float]:
    """Ticks of an axis within its limits."""
    low, high = getattr(axes, f"get_{side}lim")()
    return [value for value in getattr(axes, f"get_{side}ticks")() if low <= value <= high]


def folds(*scores: float) -> Figure:
    values = np.array(scores)[:, None]
    return figures.fold_scores(["Threshold"], {"random": values, "grouped": values})


@pytest.mark.parametrize("scores", [(0.9991, 0.9993, 0.9994), (0.2, 0.95), (1.0, 1.0), (-3.0, 0.5), (np.nan, 0.9)])
def test_no_fold_scores_above_one_and_none_is_cut(scores: tuple[float, ...]) -> None:
    with styled():
        axes = folds(*scores).axes[0]
    low, high = axes.get_xlim()
    lowest = max(np.nanmin(scores), -0.25)
    assert low < lowest and high > 1 and max(shown_ticks(axes)) == pytest.approx(1.0)
    assert len(shown_ticks(axes)) >= 3
    # The data have the room: what lies between the lowest score and one is nearly all that is shown.
    assert (1 - lowest) / (high - low) > 0.9 or 1 - lowest < 1e-3


@pytest.mark.parametrize("least", [1.0, 0.97, 0.8, 0.1, -2.0])
def test_no_learning_curve_has_a_tick_above_one(least: float) -> None:
    with styled():
        axes = figures.learning_curve("Threshold", [(100, least), (400, 1.0)], {}, None).axes[0]
    assert max(shown_ticks(axes, "y")) == pytest.approx(1.0)


def test_evaluation_sets_have_looks_of_their_own() -> None:
    others = {"second head": [0.68], "unseen pulse": [0.89], "third": [0.8]}
    with styled():
        axes = figures.interval_coverage(["Threshold"], [(0.9, 0.88, 0.92)], others, 0.9, 0.02).axes[0]
    assert {line.get_markerfacecolor() for line in axes.lines if "(not judged)" in line.get_label()} == {"none"}
    looks = {
        line.get_label(): (line.get_marker(), line.get_markeredgecolor())
        for line in axes.lines
        if "(not judged)" in line.get_label()
    }
    assert len(looks) == 3
    assert len({marker for marker, _ in looks.values()}) == len({colour for _, colour in looks.values()}) == 3


@pytest.mark.parametrize(("sizes", "said"), [([200, 200], "group of 200 cases"), ([8, 32], "group of 8–32 cases")])
def test_sizes_of_groups_are_one_number_where_they_are_equal(sizes: list[int], said: str) -> None:
    with styled():
        figure = figures.coverage_by_group(["a"], np.array([[0.9], [0.8]]), sizes, 0.9, 0.02)
    assert said in figure.axes[0].get_xlabel()


@pytest.mark.parametrize("value", [-2.3026, 0.0, 0.0123, 1234.5])
def test_labels_of_a_constant_output_stay_apart(value: float) -> None:
    truth = np.full(20, value)
    with styled():
        figure = figures.predicted_against_true(
            truth, truth, np.zeros(20, bool), "Neurofilament side-arms failed", "ln(1/s)", "R² —"
        )
        figure.draw_without_rendering()
        axes = figure.axes[0]
        label = axes.yaxis.label.get_window_extent()
        ticks = [tick.label1.get_window_extent() for tick in axes.yaxis.get_major_ticks()]
        title = axes._left_title.get_window_extent()
    assert title.x1 <= figure.bbox.x1 and label.x0 >= 0 and label.x1 < min(tick.x0 for tick in ticks)
