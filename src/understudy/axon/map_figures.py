"""Maps of the axonal injury study: values of white-matter voxels over the MNI152 anatomy, arrays in, a PNG file out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colorbar import Colorbar
from matplotlib.colors import Normalize, TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from understudy.report.style import MAP_COLOURS, MUTED, RULE, new_figure, save_png, styled

VALUES, DIFFERENCE = "YlOrRd", "RdBu_r"

# Plane -> grid axis that it cuts, axes that lie across and up, and the letters at its left, right, bottom and top.
# Neurological convention: the subject's left is at the left, as the RAS grid has it.
_PLANES = {
    "axial": (2, 0, 1, "LRPA"),
    "coronal": (1, 0, 2, "LRIS"),
    "sagittal": (0, 1, 2, "PAIS"),
}
_WIDTH_IN = 6.6
_WIDE_IN = 7.4


def _extent(affine: np.ndarray, shape: Sequence[int], across: int, up: int) -> tuple[float, float, float, float]:
    """Outer edges in mm of a grid whose axes are those of the head (positive diagonal affine)."""
    edges = []
    for axis in (across, up):
        step, first = affine[axis, axis], affine[axis, 3]
        edges += [first - 0.5 * step, first + (shape[axis] - 0.5) * step]
    return tuple(edges)


def _slice(volume: np.ndarray, affine: np.ndarray, axis: int, position_mm: float) -> np.ndarray:
    """The plane of a volume that holds a position, clipped to the volume."""
    number = round((position_mm - affine[axis, 3]) / affine[axis, axis])
    return np.take(volume, int(np.clip(number, 0, volume.shape[axis] - 1)), axis=axis)


def _filled_mm(t1: np.ndarray, affine: np.ndarray, axis: int, margin_mm: float = 15.0) -> tuple[float, float]:
    """Where the anatomy lies along one axis, with room for the letters around it."""
    others = tuple(other for other in range(3) if other != axis)
    filled = np.flatnonzero((t1 > 0.02).any(axis=others))
    low, high = (affine[axis, 3] + affine[axis, axis] * number for number in (filled[0], filled[-1]))
    return low - margin_mm, high + margin_mm


def volume_of(values: np.ndarray, index: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Voxel values (v,) on their grid, NaN where there is no white matter; ``index`` (v, 3)."""
    volume = np.full(tuple(shape), np.nan)
    volume[tuple(np.asarray(index).T)] = values
    return volume


def representative_planes(values: Sequence[np.ndarray], centre_mm: np.ndarray) -> tuple[float, float, float]:
    """Positions x, y, z in mm of planes through the most affected white matter.

    Each voxel counts by its mean rank over the outputs; the planes go through the median of the top 5 %, of the right
    hemisphere for the sagittal one, because the plane between the hemispheres shows little white matter.
    """
    ranks = sum(np.argsort(np.argsort(column)) for column in values)
    worst = np.asarray(centre_mm)[ranks >= np.quantile(ranks, 0.95)]
    right = worst[worst[:, 0] > 0]
    x = np.median(right[:, 0]) if len(right) else np.median(worst[:, 0])
    return float(x), float(np.median(worst[:, 1])), float(np.median(worst[:, 2]))


def _draw_plane(
    axes: Axes,
    plane: str,
    planes_mm: tuple[float, float, float],
    anatomy: tuple[np.ndarray, np.ndarray],
    overlay: tuple[np.ndarray, np.ndarray],
    norm: Normalize,
    colours: str,
    limits: Sequence[tuple[float, float]] | None = None,
    letters_at: str = "edges",
) -> AxesImage:
    """One slice of the anatomy with values over it; anatomy and overlay are (volume, affine), limits in mm."""
    axis, across, up, letters = _PLANES[plane]
    t1, t1_affine = anatomy
    grey = _slice(t1, t1_affine, axis, planes_mm[axis])
    axes.imshow(
        np.ma.masked_less_equal(grey, 0.02).T,
        origin="lower",
        cmap="gray",
        vmin=0.0,
        vmax=1.15 * float(t1.max()),
        extent=_extent(t1_affine, t1.shape, across, up),
        interpolation="bilinear",
        zorder=1,
    )
    volume, affine = overlay
    image = axes.imshow(
        np.ma.masked_invalid(_slice(volume, affine, axis, planes_mm[axis])).T,
        origin="lower",
        cmap=colours,
        norm=norm,
        extent=_extent(affine, volume.shape, across, up),
        interpolation="nearest",
        zorder=2,
    )
    limits = limits or [_filled_mm(t1, t1_affine, shown) for shown in (across, up)]
    axes.set(xlim=limits[0], ylim=limits[1], aspect="equal")
    axes.axis("off")
    places = {
        "edges": (
            (0.0, 0.5, "left", "center"),
            (1.0, 0.5, "right", "center"),
            (0.5, 0.0, "center", "bottom"),
            (0.5, 1.0, "center", "top"),
        ),
        # Where there is no room beside the anatomy: left and right alone.
        "corners": ((0.03, 0.03, "left", "bottom"), (0.97, 0.03, "right", "bottom")),
    }[letters_at]
    for letter, (x, y, horizontal, vertical) in zip(letters, places, strict=False):
        axes.text(x, y, letter, transform=axes.transAxes, ha=horizontal, va=vertical, fontsize=8, color=MUTED, zorder=3)
    return image


def injury_maps(
    path: Path | str,
    values: Mapping[str, np.ndarray],
    index: np.ndarray,
    shape: Sequence[int],
    affine: np.ndarray,
    centre_mm: np.ndarray,
    t1: np.ndarray,
    t1_affine: np.ndarray,
    planes_mm: tuple[float, float, float] | None = None,
) -> None:
    """White-matter maps on T1 slices: one row and one colour bar per output; axial, coronal and sagittal planes.

    Parameters
    ----------
    values : name for people -> (v,) values of the white-matter voxels, fractions.
    index, shape, affine, centre_mm : the voxels' grid (see `white_matter.WhiteMatter`).
    t1, t1_affine : anatomy and its affine (positive diagonal), MNI152 RAS mm.
    planes_mm : x, y, z of the planes; `representative_planes` of the values by default.
    """
    planes = planes_mm or representative_planes(list(values.values()), centre_mm)
    with styled():
        figure = new_figure(_WIDTH_IN, 2.05 * len(values) + 0.3)
        grid = figure.subplots(len(values), 3, squeeze=False, width_ratios=(0.83, 0.9, 1.08))
        for row, (label, column) in zip(grid, values.items(), strict=True):
            finite = column[np.isfinite(column)]
            # The last per cent would take the colours from all the rest.
            top = float(np.quantile(finite, 0.99)) if finite.size else 1.0
            clipped = finite.size > 0 and float(finite.max()) > top
            norm = Normalize(0.0, top if top > 0 else 1.0)
            volume = volume_of(column, index, shape)
            for axes, plane in zip(row, _PLANES, strict=True):
                image = _draw_plane(axes, plane, planes, (t1, t1_affine), (volume, affine), norm, "YlOrRd")
            row[0].set_title(label, fontsize=10.5, loc="left")
            bar = figure.colorbar(
                image, ax=list(row), fraction=0.035, pad=0.02, aspect=16, extend="max" if clipped else "neither"
            )
            bar.outline.set_visible(False)
            bar.ax.yaxis.set_major_locator(MaxNLocator(4))
            bar.ax.set_ylabel("fraction", fontsize=9)
        for axes, (plane, (axis, *_)) in zip(grid[-1], _PLANES.items(), strict=True):
            note = f"{plane}, {'xyz'[axis]} = {planes[axis]:.0f} mm".replace("-", "−")
            axes.text(0.5, -0.06, note, transform=axes.transAxes, ha="center", va="top", fontsize=9, color=MUTED)
        # Tall and full of voxels: more would only be a larger file.
        save_png(figure, path, dpi=180, colours=MAP_COLOURS)


_HEADER_IN, _NAME_IN, _BAR_IN, _BELOW_BAR_IN, _MARGIN_IN, _GAP_IN = 0.62, 0.26, 0.075, 0.36, 0.06, 0.3
_BETWEEN_IN = 0.04


def _bar(figure: Figure, image: AxesImage, place: tuple[float, float, float, float], extend: str) -> Colorbar:
    """A thin horizontal colour bar at a place in inches (left, bottom, width, height)."""
    width, height = figure.get_size_inches()
    axes = figure.add_axes((place[0] / width, place[1] / height, place[2] / width, place[3] / height))
    bar = figure.colorbar(image, cax=axes, orientation="horizontal", extend=extend, extendfrac=0.03)
    bar.outline.set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    axes.tick_params(length=2, labelsize=7, pad=1.5)
    return bar


def _upper(values: np.ndarray, quantile: float = 0.99) -> float:
    """The end of a colour scale: the last per cent of the voxels would take the colours from all the rest."""
    finite = values[np.isfinite(values)]
    top = float(np.quantile(finite, quantile)) if finite.size else 0.0
    return top if top > 0 else 1.0


def round_below(value: float) -> float:
    """The largest number of few digits that is not above a positive one."""
    # The first is for a logarithm that was rounded up to a whole one.
    steps = 10.0 ** np.floor(np.log10(value)) * np.array([0.8, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0])
    return float(steps[steps <= value].max())


def compared_maps(
    path: Path | str,
    first: Mapping[str, np.ndarray],
    second: Mapping[str, np.ndarray],
    titles: Sequence[str],
    notes: Sequence[str],
    index: np.ndarray,
    shape: Sequence[int],
    affine: np.ndarray,
    centre_mm: np.ndarray,
    t1: np.ndarray,
    t1_affine: np.ndarray,
    planes_mm: tuple[float, float, float] | None = None,
) -> None:
    """Two maps of each output and their difference (second less first) on one axial plane, two outputs side by side.

    Parameters
    ----------
    first, second : name for people -> (v,) values of the same voxels, fractions; drawn in per cent on one scale.
    titles, notes : heading of each of the three columns, and the lines below it.
    index, shape, affine, centre_mm : the voxels' grid (see `white_matter.WhiteMatter`).
    t1, t1_affine : anatomy and its affine (positive diagonal), MNI152 RAS mm.
    planes_mm : x, y, z of the planes; `representative_planes` of the first values by default.
    """
    planes = planes_mm or representative_planes(list(first.values()), centre_mm)
    limits = [_filled_mm(t1, t1_affine, axis, margin_mm=4.0) for axis in (0, 1)]
    block = (_WIDE_IN - 2 * _MARGIN_IN - _GAP_IN) / 2
    wide = (block - 2 * _BETWEEN_IN) / 3
    tall = wide * (limits[1][1] - limits[1][0]) / (limits[0][1] - limits[0][0])
    row = _NAME_IN + tall + _BAR_IN + _BELOW_BAR_IN
    rows = (len(first) + 1) // 2
    height = _HEADER_IN + rows * row + 0.04
    with styled():
        figure = new_figure(_WIDE_IN, height)
        figure.set_layout_engine("none")
        for number, label in enumerate(first):
            left = _MARGIN_IN + (number % 2) * (block + _GAP_IN)
            top = height - _HEADER_IN - (number // 2) * row
            before, after = (100 * np.asarray(values[label], dtype=float) for values in (first, second))
            difference = after - before
            norm = Normalize(0.0, _upper(np.concatenate([before, after])))
            reach = _upper(np.abs(difference))
            shown = (
                (before, norm, VALUES),
                (after, norm, VALUES),
                (difference, TwoSlopeNorm(0.0, -reach, reach), DIFFERENCE),
            )
            images = []
            for column, (values, scale, colours) in enumerate(shown):
                place = (left + column * (wide + _BETWEEN_IN), top - _NAME_IN - tall, wide, tall)
                axes = figure.add_axes((place[0] / _WIDE_IN, place[1] / height, place[2] / _WIDE_IN, place[3] / height))
                overlay = (volume_of(values, index, shape), affine)
                images.append(
                    _draw_plane(axes, "axial", planes, (t1, t1_affine), overlay, scale, colours, limits, "corners")
                )
            figure.text(
                left / _WIDE_IN, (top - 0.13) / height, f"{label} (%)", fontsize=8.5, fontweight="bold", va="center"
            )
            bottom = top - _NAME_IN - tall - _BAR_IN - 0.05
            inset = 0.12
            _bar(figure, images[0], (left + inset, bottom, 2 * wide + _BETWEEN_IN - 2 * inset, _BAR_IN), "max")
            narrow = (left + 2 * (wide + _BETWEEN_IN) + 0.6 * inset, bottom, wide - 1.2 * inset, _BAR_IN)
            end = round_below(reach)
            # Three short labels are all that fits.
            _bar(figure, images[2], narrow, "both").set_ticks([-end, 0.0, end], labels=[f"−{end:g}", "0", f"{end:g}"])
        for side in range(min(2, len(first))):
            for column, (title, note) in enumerate(zip(titles, notes, strict=True)):
                x = _MARGIN_IN + side * (block + _GAP_IN) + column * (wide + _BETWEEN_IN) + 0.5 * wide
                figure.text(
                    x / _WIDE_IN, 1 - 0.05 / height, title, fontsize=8, fontweight="bold", ha="center", va="top"
                )
                figure.text(
                    x / _WIDE_IN,
                    1 - 0.21 / height,
                    note,
                    fontsize=7,
                    color=MUTED,
                    ha="center",
                    va="top",
                    linespacing=1.3,
                )
        figure.add_artist(_rule(height))
        save_png(figure, path, colours=MAP_COLOURS)


def _rule(height_in: float) -> Line2D:
    """A thin line below the columns' headings."""
    y = 1 - (_HEADER_IN - 0.05) / height_in
    return Line2D([0.01, 0.99], [y, y], color=RULE, lw=0.8)


def direct_and_surrogate_maps(
    path: Path | str,
    direct: Mapping[str, np.ndarray],
    surrogate: Mapping[str, np.ndarray],
    index: np.ndarray,
    shape: Sequence[int],
    affine: np.ndarray,
    centre_mm: np.ndarray,
    t1: np.ndarray,
    t1_affine: np.ndarray,
    planes_mm: tuple[float, float, float] | None = None,
    times: tuple[str, str] = ("", ""),
) -> None:
    """Direct simulation, surrogate, and their difference: `compared_maps` with the measured times in the headings.

    ``times`` are those of direct simulation and surrogate, in words; a line break starts a second line.
    """
    titles = ("Direct simulation", "Surrogate", "Difference")
    notes = (*times, "surrogate less direct,\nother scale")
    compared_maps(path, direct, surrogate, titles, notes, index, shape, affine, centre_mm, t1, t1_affine, planes_mm)


def sex_maps(
    path: Path | str,
    male: Mapping[str, np.ndarray],
    female: Mapping[str, np.ndarray],
    index: np.ndarray,
    shape: Sequence[int],
    affine: np.ndarray,
    centre_mm: np.ndarray,
    t1: np.ndarray,
    t1_affine: np.ndarray,
    planes_mm: tuple[float, float, float] | None = None,
) -> None:
    """Male and female axons under the same impact, and their difference: parameters as for `compared_maps`."""
    titles = ("Male axon", "Female axon", "Difference")
    notes = ("", "same impact,\nsame strains", "female less male,\nother scale")
    compared_maps(path, male, female, titles, notes, index, shape, affine, centre_mm, t1, t1_affine, planes_mm)
