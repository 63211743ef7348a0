"""Pictures of neurons: axon, dendrites and soma in colours, all cells at one scale."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle

from understudy.report.style import BLUE, INK, MUTED, ORANGE, VERMILLION, new_figure, save_png, styled
from understudy.tms.morphology import APICAL, AXON, BASAL, Morphology

CELL_COLOURS = {AXON: BLUE, BASAL: ORANGE, APICAL: VERMILLION}
_NAMES = {AXON: "axon", BASAL: "basal dendrites", APICAL: "apical dendrite"}

_COLUMN_IN, _um_PER_IN = 1.75, 650.0
_GAP_um = 60.0


def draw_cells(rows: Sequence[tuple[str, Sequence[Morphology]]], path: Path | str) -> None:
    """All cells in a grid, one row for each type (layer), seen from the side, the pia upwards; written as a PNG file.

    Parameters
    ----------
    rows : (heading, cells) of each row; a row has its own scale bar, and all rows have one scale.
    path : the PNG file.
    """
    columns = max(len(cells) for _, cells in rows)
    windows = [_window(cells) for _, cells in rows]
    width = max(right - left for left, right, _, _ in windows)
    scale = max(width / _COLUMN_IN, _um_PER_IN)
    heights = [(top - bottom) / scale + 0.42 for _, _, bottom, top in windows]
    with styled():
        figure = new_figure(columns * width / scale + 0.2, sum(heights) + 0.4)
        figure.set_layout_engine("none")
        grid = figure.add_gridspec(
            len(rows),
            columns,
            height_ratios=heights,
            left=0.01,
            right=0.99,
            bottom=0.36 / (sum(heights) + 0.4),
            top=0.985,
        )
        grid.update(wspace=0.0, hspace=0.02)
        for row, ((heading, cells), (_, _, bottom, top)) in enumerate(zip(rows, windows, strict=True)):
            for column in range(columns):
                axes = figure.add_subplot(grid[row, column])
                axes.set_axis_off()
                if column < len(cells):
                    middle = _middle(cells[column])
                    draw_cell(axes, cells[column])
                    axes.set_xlim(middle - 0.5 * width, middle + 0.5 * width)
                    axes.set_ylim(bottom, top + 0.36 * scale)
                    axes.set_aspect("equal", adjustable="box")
                    axes.text(middle, top + 0.06 * scale, cells[column].name, ha="center", fontsize=7.5, color=MUTED)
                if column == 0:
                    left = middle - 0.5 * width
                    axes.text(left, top + 0.2 * scale, heading, fontsize=9.5, weight="bold", color=INK)
                    _scale_bar(axes, bottom)
        _legend(figure)
        save_png(figure, path)


def draw_cell(axes: Axes, morphology: Morphology) -> None:
    """One cell on axes with x across and z upwards, um; line widths follow diameters."""
    for kind, colour in CELL_COLOURS.items():
        pieces, widths = [], []
        for i in morphology.sections_of(kind):
            section = morphology.sections[i]
            points = section.points[:, (0, 2)]
            pieces.append(points)
            widths.append(_line_width(float(np.mean(section.diameters)), kind))
        if pieces:
            lines = LineCollection(pieces, colors=colour, linewidths=widths, capstyle="round", joinstyle="round")
            # Dendrites stay visible through the axon's thicket.
            lines.set_zorder(1 if kind == AXON else 2)
            axes.add_collection(lines)
    radius = 0.5 * float(morphology.sections[0].diameters.max())
    axes.add_patch(Circle((0.0, 0.0), radius, facecolor=INK, edgecolor="none", zorder=3))


def _line_width(diameter_um: float, kind: str) -> float:
    return (0.28 if kind == AXON else 0.4) + 0.22 * min(diameter_um, 5.0)


def _window(cells: Sequence[Morphology]) -> tuple[float, float, float, float]:
    """Left, right, bottom and top that hold each cell of a row around its own middle, um."""
    half = max(0.5 * float(np.ptp(_plane(cell)[:, 0])) for cell in cells) + _GAP_um
    heights = np.concatenate([_plane(cell)[:, 1] for cell in cells])
    return -half, half, float(heights.min()) - _GAP_um, float(heights.max()) + 0.5 * _GAP_um


def _middle(cell: Morphology) -> float:
    x = _plane(cell)[:, 0]
    return 0.5 * float(x.min() + x.max())


def _plane(cell: Morphology) -> np.ndarray:
    return np.concatenate([section.points[:, (0, 2)] for section in cell.sections])


def _scale_bar(axes: Axes, bottom: float, length_um: float = 200.0) -> None:
    left = axes.get_xlim()[0] + 0.5 * _GAP_um
    axes.plot([left, left], [bottom + 20, bottom + 20 + length_um], color=INK, lw=1.6, solid_capstyle="butt")
    axes.text(left + 25, bottom + 20 + 0.5 * length_um, f"{length_um:.0f} µm", fontsize=7.5, color=INK, va="center")


def _legend(figure: Figure) -> None:
    handles = [Line2D([], [], color=colour, lw=1.8, label=_NAMES[kind]) for kind, colour in CELL_COLOURS.items()]
    handles.append(Line2D([], [], color=INK, marker="o", ls="none", ms=5, label="soma"))
    figure.legend(handles=handles, loc="lower center", ncols=4, fontsize=8.5)
