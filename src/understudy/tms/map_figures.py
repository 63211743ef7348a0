"""Maps on the cortical surface: an orthographic projection with shading, far triangles first; arrays in, PNG out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullFormatter, NullLocator, StrMethodFormatter

from understudy.report.style import INK, MAP_COLOURS, MUTED, NETWORK, new_figure, save_png, soft_grid, styled
from understudy.tms.files import ThresholdMap
from understudy.tms.goals import NAMES

STRENGTH, THRESHOLD, WIDTH = "YlGnBu", "YlOrRd_r", "BuPu"
_BARE = (0.86, 0.87, 0.88)
_WIDE_IN = 7.4
MAP_DPI = 220
# Thresholds far from the coil are many times the lowest, and nobody stimulates there.
_THRESHOLD_SPAN = 6.0


@dataclass(frozen=True)
class View:
    """A picture plane: unit vectors (3,) to the right and up in the picture, and towards the eye."""

    right: np.ndarray
    up: np.ndarray
    eye: np.ndarray


def view_from(eye: Sequence[float]) -> View:
    """The view from a direction (not straight from above or below), with the head's top upwards.

    A surface seen from its left has the front at the left of the picture, as the eye has it.
    """
    towards = np.asarray(eye, dtype=float)
    towards = towards / np.linalg.norm(towards)
    right = np.cross([0.0, 0.0, 1.0], towards)
    right /= np.linalg.norm(right)
    return View(right, np.cross(towards, right), towards)


def side_view(points_mm: np.ndarray) -> View:
    """From the outer side of a hemisphere, above and a little in front: the hand knob faces the eye."""
    side = np.sign(np.median(points_mm[:, 0])) or 1.0
    return view_from((0.80 * side, 0.05, 0.60))


def project(points_mm: np.ndarray, view: View) -> np.ndarray:
    """Points (..., 3) mm in the picture plane, (..., 2) mm."""
    return np.stack([points_mm @ view.right, points_mm @ view.up], axis=-1)


def face_colours(
    values: np.ndarray | None, triangles: np.ndarray, light: np.ndarray, norm: Normalize, colours: str
) -> np.ndarray:
    """Shaded colours (T, 3): of the mean of a triangle's known corners, and bare grey where none is known.

    Parameters
    ----------
    values : (V,) at the vertices, NaN where unknown; None for a bare surface.
    light : (T,) from 0, edge on, to 1, facing the eye.
    """
    rgb = np.tile(np.array(_BARE), (len(triangles), 1))
    if values is not None:
        corner = np.asarray(values, dtype=float)[triangles]
        known = np.isfinite(corner)
        count = known.sum(axis=1)
        mean = np.where(known, corner, 0.0).sum(axis=1) / np.maximum(count, 1)
        coloured = count > 0
        rgb[coloured] = colormaps[colours](norm(mean[coloured]))[:, :3]
    # Dark valleys would read as values.
    return rgb * (0.62 + 0.38 * light)[:, None]


def draw_surface(
    axes: Axes,
    points_mm: np.ndarray,
    triangles: np.ndarray,
    values: np.ndarray | None,
    norm: Normalize,
    colours: str,
    view: View,
) -> None:
    """A triangulated surface (points (V, 3), triangles (T, 3)) with values (V,); the axes get its size in mm."""
    corners = np.asarray(points_mm, dtype=float)[triangles]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    # The sign of the volume tells which way triangles are wound.
    inside = corners - np.asarray(points_mm).mean(axis=0)
    outward = np.sign(np.einsum("ti,ti->t", inside[:, 0], np.cross(inside[:, 1], inside[:, 2])).sum()) or 1.0
    facing = outward * (normal @ view.eye) / np.maximum(np.linalg.norm(normal, axis=1), 1e-12)
    seen = np.flatnonzero(facing > 0)
    seen = seen[np.argsort(corners[seen].mean(axis=1) @ view.eye, kind="stable")]
    colour = face_colours(values, triangles[seen], facing[seen], norm, colours)
    flat = project(corners[seen], view)
    # Edges of the same colour close the seams between triangles.
    axes.add_collection(PolyCollection(flat, facecolors=colour, edgecolors=colour, linewidths=0.25))
    whole = project(np.asarray(points_mm, dtype=float), view)
    margin = 3.0
    axes.set_xlim(whole[:, 0].min() - margin, whole[:, 0].max() + margin)
    axes.set_ylim(whole[:, 1].min() - margin, whole[:, 1].max() + margin)
    axes.set_aspect("equal")
    axes.axis("off")


def draw_coil(axes: Axes, pose: np.ndarray, view: View, handle_mm: float = 28.0) -> None:
    """Centre of the coil and the direction of its handle, above the surface."""
    centre, end = (project(np.asarray(point), view) for point in (pose[:3, 3], pose[:3, 3] - handle_mm * pose[:3, 1]))
    axes.plot(*np.stack([centre, end], axis=1), color=INK, lw=1.4, solid_capstyle="round", zorder=5)
    axes.plot(*centre, marker="o", ms=4.5, mfc="white", mec=INK, mew=1.2, ls="none", zorder=6)


def _threshold_norm(values: np.ndarray) -> LogNorm:
    """From the lowest per mille of thresholds to a few times that, on a logarithmic scale."""
    known = values[np.isfinite(values) & (values > 0)]
    low = float(np.quantile(known, 0.001)) if known.size else 1.0
    return LogNorm(low, _THRESHOLD_SPAN * low)


def _linear_norm(values: np.ndarray) -> Normalize:
    known = values[np.isfinite(values)]
    top = float(np.quantile(known, 0.995)) if known.size else 1.0
    return Normalize(0.0, top if top > 0 else 1.0)


def _bar(figure: Figure, axes: Sequence[Axes], norm: Normalize, colours: str, words: str, extend: str) -> None:
    """A thin colour bar at the right of one row."""
    bar = figure.colorbar(
        ScalarMappable(norm, colours), ax=list(axes), fraction=0.03, pad=0.015, aspect=17, extend=extend
    )
    bar.outline.set_visible(False)
    bar.ax.set_ylabel(words, fontsize=8)
    bar.ax.tick_params(labelsize=7, length=2)
    bar.ax.yaxis.set_minor_locator(NullLocator())
    if isinstance(norm, LogNorm):
        bar.ax.yaxis.set_major_locator(FixedLocator(_round_numbers(norm.vmin, norm.vmax)))
        bar.ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        bar.ax.yaxis.set_minor_formatter(NullFormatter())
    else:
        bar.ax.yaxis.set_major_locator(MaxNLocator(4))


def _round_numbers(low: float, high: float) -> list[float]:
    """Round numbers between two ends, for a logarithmic scale."""
    decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    return [number for d in decades for m in (1, 2, 3, 5) if low <= (number := m * 10.0**d) <= high]


def threshold_maps(path: Path | str, found: ThresholdMap) -> None:
    """Field strength, threshold and interval width over the hemisphere, one column for each type of cell."""
    view = side_view(found.points_mm)
    rows = (
        (found.strength, STRENGTH, "|E| at the soma\n(V/m for 1 A/µs)", _linear_norm, "max"),
        (found.median_A_per_us, THRESHOLD, "Median threshold\n(A/µs)", _threshold_norm, "both"),
        (100 * found.interval_width, WIDTH, "Width of the 90 % interval\n(% of the threshold)", _linear_norm, "max"),
    )
    with styled():
        figure = new_figure(_WIDE_IN, 5.5)
        grid = figure.subplots(len(rows), len(found.types), squeeze=False)
        for line, (values, colours, words, norm_of, extend) in zip(grid, rows, strict=True):
            norm = norm_of(values)
            for axes, column in zip(line, values, strict=True):
                draw_surface(axes, found.points_mm, found.triangles, column, norm, colours, view)
                draw_coil(axes, found.pose, view)
            _bar(figure, line, norm, colours, words, extend)
        for axes, kind in zip(grid[0], found.types, strict=True):
            axes.set_title(NAMES.get(kind, kind), loc="center", fontsize=9.5)
        save_png(figure, path, dpi=MAP_DPI, colours=MAP_COLOURS)


def lead(
    path: Path | str,
    found: ThresholdMap,
    pairs: Mapping[str, tuple[np.ndarray, np.ndarray]],
    notes: Mapping[str, str],
) -> None:
    """Threshold maps of the types of cells above predicted against simulated thresholds of held-out cases.

    Parameters
    ----------
    pairs : type -> simulated and predicted thresholds (N,) V/m at the soma.
    notes : type -> lines that stand in its panel.
    """
    view = side_view(found.points_mm)
    norm = _threshold_norm(found.median_A_per_us)
    known = [values for pair in pairs.values() for values in pair if len(values)]
    low, high = (float(end(np.concatenate(known))) for end in (np.min, np.max)) if known else (100.0, 1000.0)
    low, high = 0.93 * low, 1.07 * high
    with styled():
        figure = new_figure(_WIDE_IN, 4.7)
        upper, lower = figure.subfigures(2, 1, height_ratios=(1.0, 1.22))
        surfaces = upper.subplots(1, len(found.types), squeeze=False)[0]
        for axes, kind, column in zip(surfaces, found.types, found.median_A_per_us, strict=True):
            draw_surface(axes, found.points_mm, found.triangles, column, norm, THRESHOLD, view)
            draw_coil(axes, found.pose, view)
            axes.set_title(NAMES.get(kind, kind), loc="center", fontsize=9.5)
        _bar(upper, surfaces, norm, THRESHOLD, "Median threshold (A/µs)", "both")
        panels = lower.subplots(1, len(found.types), squeeze=False, sharex=True, sharey=True)[0]
        for axes, kind in zip(panels, found.types, strict=True):
            truth, predicted = pairs.get(kind, (np.empty(0), np.empty(0)))
            axes.plot([low, high], [low, high], color=MUTED, lw=0.9, zorder=1)
            axes.scatter(truth, predicted, s=5, color=NETWORK, alpha=0.45, lw=0, zorder=2, rasterized=True)
            axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high), aspect="equal")
            _plain_log(axes, low, high)
            axes.set_xlabel("Simulated (V/m)", fontsize=8)
            axes.text(0.05, 0.95, notes.get(kind, ""), transform=axes.transAxes, va="top", fontsize=7.5, color=INK)
        panels[0].set_ylabel("Predicted (V/m)", fontsize=8)
        save_png(figure, path, dpi=MAP_DPI, colours=MAP_COLOURS)


def _plain_log(axes: Axes, low: float, high: float) -> None:
    """Round numbers in plain words on both logarithmic axes."""
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(FixedLocator(_round_numbers(low, high)))
        axis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.set_minor_locator(NullLocator())
    axes.tick_params(labelsize=7.5)
    soft_grid(axes)
