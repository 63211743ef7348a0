"""Figures of heads and fields: tissues in slices, and field strength in the refined box around the cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from understudy.report.style import INK, MAP_COLOURS, MUTED, VERMILLION, new_figure, save_png, styled
from understudy.tms.fields import GridField

TISSUE_COLOURS = {
    "air": "#ffffff",
    "white matter": "#e6e4e0",
    "grey matter": "#8f8f96",
    "CSF": "#8cc4e8",
    "skull": "#fff3c9",
    "scalp": "#ecc9a4",
}
STRENGTH = "YlGnBu"

# Plane -> axis that it cuts, axes across and up.
_PLANES = {"axial": (2, 0, 1), "coronal": (1, 0, 2), "sagittal": (0, 1, 2)}
_WIDE_IN = 7.4
MAP_DPI = 220
_ARROWS_mm = 3.0


def plane_of(
    values: np.ndarray, affine: np.ndarray, point_mm: np.ndarray, plane: str
) -> tuple[np.ndarray, tuple[float, float, float, float]]:
    """The slice of a volume through a point, up by across, and its outer edges in mm (left, right, bottom, top).

    Parameters
    ----------
    values : (nx, ny, nz); affine (4, 4) voxel index to mm, its axes those of the head (diagonal, any sign).
    """
    axis, across, up = _PLANES[plane]
    number = round((point_mm[axis] - affine[axis, 3]) / affine[axis, axis])
    shown = np.take(values, int(np.clip(number, 0, values.shape[axis] - 1)), axis=axis).T
    edges = []
    for direction in (across, up):
        step, first = affine[direction, direction], affine[direction, 3]
        edges += [first - 0.5 * step, first + (values.shape[direction] - 0.5) * step]
    return shown, tuple(edges)


def heads(
    path: Path | str,
    shown: Sequence[tuple[str, np.ndarray, np.ndarray, np.ndarray]],
    tissues: Sequence[str],
    patches: Sequence[np.ndarray],
) -> None:
    """Tissues of each head in three slices through a point, with the patches' centres that lie near the slice.

    Parameters
    ----------
    shown : (title, labels (nx, ny, nz), affine, point (3,) mm) of each head.
    tissues : name of each label from 0, those of `TISSUE_COLOURS`.
    patches : (P, 3) mm for each head.
    """
    colours = ListedColormap([TISSUE_COLOURS[name] for name in tissues])
    with styled():
        figure = new_figure(_WIDE_IN, 2.45 * len(shown) + 0.35)
        grid = figure.subplots(len(shown), 3, squeeze=False)
        for row, (title, labels, affine, point), centres in zip(grid, shown, patches, strict=True):
            filled = np.argwhere(labels > 0)
            ends = np.stack([filled.min(axis=0), filled.max(axis=0)], axis=1)
            box = np.sort(affine[:3, 3:] + np.diag(affine)[:3, None] * ends, axis=1)
            for axes, (plane, (axis, across, up)) in zip(row, _PLANES.items(), strict=True):
                image, edges = plane_of(labels, affine, point, plane)
                axes.imshow(
                    image, origin="lower", extent=edges, cmap=colours, vmin=-0.5, vmax=len(tissues) - 0.5,
                    interpolation="nearest",
                )  # fmt: skip
                near = np.abs(centres[:, axis] - point[axis]) <= 12.0
                axes.plot(*centres[near][:, (across, up)].T, "o", ms=4, mfc="none", mec=VERMILLION, mew=1.2, ls="none")
                axes.set(xlim=box[across] + (-4, 4), ylim=box[up] + (-4, 4))
                axes.axis("off")
                words = f"{plane}, {'xyz'[axis]} = {point[axis]:.0f} mm".replace("-", "−")
                axes.text(0.5, -0.02, words, transform=axes.transAxes, ha="center", va="top", fontsize=7.5, color=MUTED)
            row[0].set_title(title, fontsize=9.5)
        handles = [
            Line2D([], [], marker="s", ms=7, ls="none", mfc=TISSUE_COLOURS[name], mec=MUTED, mew=0.5, label=name)
            for name in tissues
            if name != "air"
        ]
        handles.append(
            Line2D([], [], marker="o", ms=4, ls="none", mfc="none", mec=VERMILLION, mew=1.2, label="patch within 12 mm")
        )
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=7.5, columnspacing=1.2)
        save_png(figure, path, dpi=MAP_DPI, colours=MAP_COLOURS)


def _strength(field: GridField) -> np.ndarray:
    """|E| (nx, ny, nz) V/m, NaN outside tissue."""
    magnitude = np.linalg.norm(np.asarray(field.value, dtype=float), axis=-1)
    return np.where(field.tissue, magnitude, np.nan)


def fields(path: Path | str, shown: Mapping[str, tuple[GridField, np.ndarray]]) -> None:
    """Field strength in grey and white matter in three slices through a patch, its direction in the plane as arrows.

    Parameters
    ----------
    shown : title -> field (V/m for 1 A/us) and centre of the patch (3,) mm.
    """
    strengths = [_strength(field) for field, _ in shown.values()]
    known = np.concatenate([values[np.isfinite(values)] for values in strengths])
    norm = Normalize(0.0, float(np.quantile(known, 0.998)) if known.size else 1.0)
    with styled():
        figure = new_figure(_WIDE_IN, 2.5 * len(shown) + 0.15)
        grid = figure.subplots(len(shown), 3, squeeze=False)
        for row, (title, (field, centre)), values in zip(grid, shown.items(), strengths, strict=True):
            affine = np.asarray(field.affine)
            for axes, (plane, (axis, _, _)) in zip(row, _PLANES.items(), strict=True):
                image, edges = plane_of(values, affine, centre, plane)
                axes.imshow(image, origin="lower", extent=edges, cmap=STRENGTH, norm=norm, interpolation="nearest")
                _arrows(axes, field, centre, plane, norm.vmax)
                axes.plot(*(centre[a] for a in _PLANES[plane][1:]), "+", ms=8, mew=1.6, color=VERMILLION)
                axes.set(xlim=sorted(edges[:2]), ylim=sorted(edges[2:]), aspect="equal", xticks=[], yticks=[])
                axes.set_facecolor("#f3f4f5")
                for spine in axes.spines.values():
                    spine.set_visible(False)
                words = f"{plane}, {'xyz'[axis]} = {centre[axis]:.0f} mm".replace("-", "−")
                axes.set_xlabel(words, fontsize=7.5, color=MUTED)
            row[0].set_title(title, fontsize=9.5)
            _size(row[0])
        bar = figure.colorbar(
            ScalarMappable(norm, STRENGTH), ax=grid.ravel().tolist(), fraction=0.025, pad=0.015, aspect=22, extend="max"
        )
        bar.outline.set_visible(False)
        bar.ax.set_ylabel("|E| (V/m for 1 A/µs)", fontsize=8)
        bar.ax.tick_params(labelsize=7, length=2)
        bar.ax.yaxis.set_major_locator(MaxNLocator(5))
        save_png(figure, path, dpi=MAP_DPI, colours=MAP_COLOURS)


def _arrows(axes: Axes, field: GridField, centre: np.ndarray, plane: str, strongest: float) -> None:
    """The field's part in the plane, where there is tissue; length follows strength, of all panels alike."""
    _, across, up = _PLANES[plane]
    affine = np.asarray(field.affine)
    apart = [max(1, round(_ARROWS_mm / abs(affine[axis, axis]))) for axis in (across, up)]
    index = [np.arange(field.value.shape[axis])[::step] for axis, step in zip((across, up), apart, strict=True)]
    axis = _PLANES[plane][0]
    place = np.array([affine[a, 3] for a in range(3)])
    points = np.empty((len(index[0]) * len(index[1]), 3))
    mesh = np.meshgrid(*index, indexing="ij")
    for direction, numbers in zip((across, up), mesh, strict=True):
        points[:, direction] = place[direction] + affine[direction, direction] * numbers.ravel()
    points[:, axis] = centre[axis]
    value, inside = field.sample(points)
    axes.quiver(
        points[inside, across], points[inside, up], value[inside, across], value[inside, up], color=INK, pivot="mid",
        width=0.0045, headwidth=4, alpha=0.75, angles="xy", scale_units="xy", scale=strongest / (1.2 * _ARROWS_mm),
    )  # fmt: skip


def _size(axes: Axes, length_mm: float = 10.0) -> None:
    """A scale bar in the lower left corner."""
    left, bottom = axes.get_xlim()[0], axes.get_ylim()[0]
    axes.plot([left + 1.5, left + 1.5 + length_mm], [bottom + 1.5] * 2, color=INK, lw=1.6, solid_capstyle="butt")
    axes.text(left + 1.5 + 0.5 * length_mm, bottom + 2.2, f"{length_mm:.0f} mm", ha="center", fontsize=7)
