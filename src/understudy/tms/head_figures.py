"""Pictures of heads and of fields in them: slices of tissues and of |E|, and values on the cortical surface."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import BoundaryNorm, ListedColormap, Normalize
from matplotlib.patches import Patch as Swatch
from matplotlib.patches import Rectangle

from understudy.report.style import INK, MAP_COLOURS, MUTED, new_figure, save_png, styled
from understudy.tms.conduction import ConductionSolver, Solution
from understudy.tms.cortex import Cortex
from understudy.tms.head_model import GREY, TISSUES, WHITE, HeadModel

FIELD_COLOURS = "inferno"
_TISSUE_COLOURS = ("#ffffff", "#f3ead7", "#8f8a86", "#6db3e0", "#e0c25a", "#d9a58c")
# Plane -> axis that it cuts, axes across and up, letters at left, right, bottom and top (neurological convention).
_PLANES = {"axial": (2, 0, 1, "LRPA"), "coronal": (1, 0, 2, "LRIS"), "sagittal": (0, 1, 2, "PAIS")}
_VIEWS = {
    "lateral": lambda side: (np.array([side, 0.0, 0.0]), np.array([0.0, 0.0, 1.0])),
    "top": lambda side: (np.array([0.35 * side, 0.0, 1.0]), np.array([0.0, 1.0, 0.0])),
}


def draw_head(head: HeadModel, at_mm: Sequence[float], path: Path, *, inset: HeadInset | None = None) -> None:
    """Three slices of a head's tissues through a point, into a PNG file.

    Parameters
    ----------
    at_mm : (3,) where the slices cut.
    inset : the labels of a refined box, drawn beside the slices.
    """
    colours = ListedColormap(_TISSUE_COLOURS)
    norm = BoundaryNorm(np.arange(len(TISSUES) + 1) - 0.5, len(TISSUES))
    fine_affine = head.affine.copy()
    spacing = head.affine[0, 0] / head.factor
    fine_affine[:3, :3] = np.eye(3) * spacing
    fine_affine[:3, 3] += 0.5 * spacing - 0.5 * head.affine[0, 0]
    columns = 3 if inset is None else 4
    with styled():
        figure = new_figure(2.3 * columns, 2.9)
        axes = figure.subplots(1, columns)
        for ax, plane in zip(axes, _PLANES, strict=False):
            _draw_slice(ax, plane, head.fine, fine_affine, at_mm, colours, norm)
            ax.set_title(f"{plane}, {'zyx'[list(_PLANES).index(plane)]} = {at_mm[_PLANES[plane][0]]:.0f} mm")
        if inset is not None:
            _draw_slice(axes[3], "coronal", inset.labels, inset.affine, at_mm, colours, norm, letters=False)
            axes[3].set_title(f"refined, {inset.affine[0, 0]:g} mm")
            _outline(axes[1], "coronal", inset)
        figure.legend(
            handles=[Swatch(color=_TISSUE_COLOURS[k], label=TISSUES[k]) for k in range(1, len(TISSUES))],
            loc="outside lower center",
            ncols=5,
        )
        save_png(figure, path, colours=MAP_COLOURS)


class HeadInset:
    """Labels (nx, ny, nz) of a refined box and the affine of its voxels; ``field`` (nx, ny, nz) V/m or None."""

    def __init__(self, labels: np.ndarray, affine: np.ndarray, field: np.ndarray | None = None) -> None:
        self.labels, self.affine, self.field = labels, affine, field


def strength_volume(solver: ConductionSolver, solution: Solution, tissues: Sequence[int] = (GREY, WHITE)) -> np.ndarray:
    """|E| (nx, ny, nz) in V/m, NaN outside ``tissues``."""
    volume = np.full(solver.label.shape, np.nan, dtype=np.float32)
    volume[tuple(solver.voxels.T)] = np.linalg.norm(solution.field, axis=1)
    volume[~np.isin(solver.label, tissues)] = np.nan
    return volume


def draw_field(
    head: HeadModel,
    strength: np.ndarray,
    at_mm: Sequence[float],
    path: Path,
    *,
    inset: HeadInset | None = None,
    unit: str = "V/m per A/us",
) -> None:
    """Three slices of |E| in grey and white matter over the head's tissues, into a PNG file.

    Parameters
    ----------
    strength : (nx, ny, nz) on the head's voxels, NaN where it is not shown.
    inset : labels and |E| of a refined box.
    """
    tissue = ListedColormap(["#ffffff", "#ececec", "#ececec", "#dfe7ec", "#cfcfcf", "#e6e0dc"])
    tissue_norm = BoundaryNorm(np.arange(len(TISSUES) + 1) - 0.5, len(TISSUES))
    norm = Normalize(0.0, float(np.nanpercentile(strength, 99.9)))
    columns = 3 if inset is None else 4
    with styled():
        figure = new_figure(2.3 * columns, 3.0)
        axes = figure.subplots(1, columns)
        for ax, plane in zip(axes, _PLANES, strict=False):
            _draw_slice(ax, plane, head.labels, head.affine, at_mm, tissue, tissue_norm)
            image = _draw_slice(ax, plane, strength, head.affine, at_mm, FIELD_COLOURS, norm, letters=False)
            ax.set_title(f"{plane}, {'zyx'[list(_PLANES).index(plane)]} = {at_mm[_PLANES[plane][0]]:.0f} mm")
        if inset is not None:
            _draw_slice(axes[3], "coronal", inset.labels, inset.affine, at_mm, tissue, tissue_norm, letters=False)
            image = _draw_slice(
                axes[3], "coronal", inset.field, inset.affine, at_mm, FIELD_COLOURS, norm, letters=False
            )
            axes[3].set_title(f"refined, {inset.affine[0, 0]:g} mm")
            _outline(axes[1], "coronal", inset)
        figure.colorbar(
            image,
            ax=axes,
            orientation="horizontal",
            shrink=0.45,
            aspect=35,
            pad=0.03,
            label=f"|E| ({unit})",
            extend="max",
        )
        save_png(figure, path, colours=MAP_COLOURS)


def _draw_slice(
    axes: Axes,
    plane: str,
    volume: np.ndarray,
    affine: np.ndarray,
    at_mm: Sequence[float],
    colours: str | ListedColormap,
    norm: Normalize,
    letters: bool = True,
) -> matplotlib.image.AxesImage:
    """One slice through a point of a volume with a positive diagonal affine."""
    axis, across, up, names = _PLANES[plane]
    number = round((at_mm[axis] - affine[axis, 3]) / affine[axis, axis])
    values = np.take(volume, int(np.clip(number, 0, volume.shape[axis] - 1)), axis=axis)
    extent = []
    for other in (across, up):
        step, first = affine[other, other], affine[other, 3]
        extent += [first - 0.5 * step, first + (volume.shape[other] - 0.5) * step]
    masked = np.ma.masked_invalid(values) if values.dtype.kind == "f" else values
    image = axes.imshow(
        masked.T,
        origin="lower",
        cmap=colours,
        norm=norm,
        extent=extent,
        interpolation="nearest",
        interpolation_stage="data",
    )
    axes.set_aspect("equal")
    axes.axis("off")
    if letters:
        places = ((0.0, 0.5), (1.0, 0.5), (0.5, 0.0), (0.5, 1.0))
        for name, (x, y) in zip(names, places, strict=True):
            axes.text(x, y, name, transform=axes.transAxes, ha="center", va="center", color=MUTED, fontsize=8)
    return image


def _outline(axes: Axes, plane: str, inset: HeadInset) -> None:
    """Where the refined box lies."""
    _, across, up, _ = _PLANES[plane]
    step = inset.affine[0, 0]
    corner = inset.affine[:3, 3] - 0.5 * step
    size = np.array(inset.labels.shape) * step
    axes.add_patch(Rectangle(corner[[across, up]], size[across], size[up], fill=False, edgecolor=INK, linewidth=0.9))


def draw_on_cortex(
    cortex: Cortex,
    values: np.ndarray,
    path: Path,
    *,
    label: str,
    limits: tuple[float, float] | None = None,
    colours: str = FIELD_COLOURS,
    marks: np.ndarray | None = None,
) -> None:
    """Values on a hemisphere from the side and from above, into a PNG file.

    Parameters
    ----------
    values : (V,) at the vertices, NaN where there is none (drawn grey).
    label : of the colour bar, with the unit.
    limits : of the colours; none: from 0 to the 99.9th percentile.
    marks : vertices marked with a ring.
    """
    if limits is None:
        limits = (0.0, float(np.nanpercentile(values, 99.9)))
    norm = Normalize(*limits)
    side = -1.0 if cortex.hemisphere == "left" else 1.0
    with styled():
        figure = new_figure(7.0, 3.4)
        axes = figure.subplots(1, 2, width_ratios=(1.25, 1.0))
        for ax, (name, view) in zip(axes, _VIEWS.items(), strict=True):
            _draw_surface(ax, cortex, values, *view(side), norm, colours, marks)
            ax.set_title(f"{cortex.hemisphere} hemisphere, {name} view")
        mapping = matplotlib.cm.ScalarMappable(norm, colours)
        extend = "max" if np.nanmax(values) > limits[1] else "neither"
        figure.colorbar(
            mapping, ax=axes, orientation="horizontal", shrink=0.5, aspect=35, pad=0.03, label=label, extend=extend
        )
        save_png(figure, path, colours=MAP_COLOURS)


def _draw_surface(
    axes: Axes,
    cortex: Cortex,
    values: np.ndarray,
    towards: np.ndarray,
    upwards: np.ndarray,
    norm: Normalize,
    colours: str,
    marks: np.ndarray | None,
) -> None:
    """The pial surface seen from a direction: triangles from far to near, shaded by their slope."""
    towards = towards / np.linalg.norm(towards)
    right = np.cross(upwards, towards)
    right /= np.linalg.norm(right)
    up = np.cross(towards, right)
    corner = cortex.pial[cortex.faces]
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    facing = normal @ towards
    seen = facing > 0
    order = np.flatnonzero(seen)[np.argsort((corner.mean(axis=1) @ towards)[seen])]
    value = values[cortex.faces[order]].mean(axis=1)
    colour = matplotlib.colormaps[colours](norm(np.nan_to_num(value)))
    colour[~np.isfinite(value)] = matplotlib.colors.to_rgba("#b8b8b8")
    colour[:, :3] *= (0.45 + 0.55 * facing[order])[:, None]
    flat = np.stack([corner[order] @ right, corner[order] @ up], axis=-1)
    axes.add_collection(PolyCollection(flat, facecolors=colour, edgecolors=colour, linewidths=0.3))
    if marks is not None:
        at = cortex.pial[marks]
        axes.scatter(at @ right, at @ up, s=40, facecolors="none", edgecolors="white", linewidths=1.2, zorder=3)
    axes.autoscale_view()
    axes.set_aspect("equal")
    axes.axis("off")
