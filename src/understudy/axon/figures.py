"""Figures of the axonal injury study: arrays in, a PNG file out. White-matter maps lie on the MNI152 anatomy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, TwoSlopeNorm
from matplotlib.ticker import MaxNLocator

from understudy.report.style import (
    BLUE,
    CYCLE,
    GREY,
    INK,
    MUTED,
    ORANGE,
    RULE,
    VERMILLION,
    new_figure,
    save_png,
    soft_grid,
    styled,
)

LABELS = {
    "microtubule_strain": "Peak microtubule strain",
    "axolemma_strain": "Peak axolemma strain",
    "tau_failed": "Tau cross-links failed",
    "neurofilament_failed": "Neurofilament side-arms failed",
}
GROUPS = (
    ("Reference gap layout (as published)", "", True),
    ("Mean over gap layouts", "_mean", True),
    ("Spread over gap layouts (standard deviation)", "_spread", False),
)

# Plane -> grid axis that it cuts, axes that lie across and up, and the letters at its left, right, bottom and top.
# Neurological convention: the subject's left is at the left, as the RAS grid has it.
_PLANES = {
    "axial": (2, 0, 1, "LRPA"),
    "coronal": (1, 0, 2, "LRIS"),
    "sagittal": (0, 1, 2, "PAIS"),
}
_WIDTH_IN = 6.6


def target_labels() -> dict[str, str]:
    """Names of all twelve targets for people."""
    return {f"{name}{ending}": label for name, label in LABELS.items() for _, ending, _ in GROUPS}


def target_groups() -> list[dict]:
    """How the report groups the targets."""
    return [
        {"title": title, "targets": [f"{name}{ending}" for name in LABELS], "headline": headline}
        for title, ending, headline in GROUPS
    ]


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
):
    """One slice of the anatomy with values over it; anatomy and overlay are (volume, affine)."""
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
    limits = [_filled_mm(t1, t1_affine, shown) for shown in (across, up)]
    axes.set(xlim=limits[0], ylim=limits[1], aspect="equal")
    axes.axis("off")
    places = ((0.0, 0.5, "left", "center"), (1.0, 0.5, "right", "center"))
    places += ((0.5, 0.0, "center", "bottom"), (0.5, 1.0, "center", "top"))
    for letter, (x, y, horizontal, vertical) in zip(letters, places, strict=True):
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
        save_png(figure, path)


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
) -> None:
    """Direct simulation, surrogate, and their difference on the axial plane: one row per output.

    Parameters as for `injury_maps`; both mappings hold (v,) values of the same voxels under the same names.
    """
    planes = planes_mm or representative_planes(list(direct.values()), centre_mm)
    with styled():
        figure = new_figure(_WIDTH_IN, 2.35 * len(direct) + 0.3)
        grid = figure.subplots(len(direct), 3, squeeze=False)
        for row, label in zip(grid, direct, strict=True):
            top = float(np.nanquantile(direct[label], 0.99)) or 1.0
            error = surrogate[label] - direct[label]
            reach = float(np.nanquantile(np.abs(error), 0.99)) or 1.0
            shown = (
                (direct[label], Normalize(0.0, top), "YlOrRd"),
                (surrogate[label], Normalize(0.0, top), "YlOrRd"),
                (error, TwoSlopeNorm(0.0, -reach, reach), "RdBu_r"),
            )
            images = []
            for axes, (column, norm, colours) in zip(row, shown, strict=True):
                overlay = (volume_of(column, index, shape), affine)
                images.append(_draw_plane(axes, "axial", planes, (t1, t1_affine), overlay, norm, colours))
            for image, axes in ((images[1], list(row[:2])), (images[2], [row[2]])):
                bar = figure.colorbar(image, ax=axes, fraction=0.05, pad=0.02, aspect=16, extend="both")
                bar.outline.set_visible(False)
                bar.ax.yaxis.set_major_locator(MaxNLocator(4))
            row[0].set_title(label, fontsize=10.5, loc="left")
        for axes, text in zip(grid[-1], ("direct", "surrogate", "surrogate less direct"), strict=True):
            axes.text(0.5, -0.04, text, transform=axes.transAxes, ha="center", va="top", fontsize=9, color=MUTED)
        save_png(figure, path)


_ROLE_LOOKS = (("training", GREY, 0.8, 0.45), ("calibration", BLUE, 1.0, 0.7), ("heldout", VERMILLION, 1.5, 0.95))
_ROLE_WORDS = {"training": "training", "calibration": "calibration", "heldout": "held out"}


def pulses(path: Path | str, time_ms: np.ndarray, angular_velocity: np.ndarray, roles: Sequence[str]) -> None:
    """Angular velocity of all impacts about the three axes of the head.

    Parameters
    ----------
    time_ms : (t,).
    angular_velocity : (impact, t, 3) rad/s about x (right), y (anterior), z (superior).
    roles : (impact,) ``training``, ``calibration`` or ``heldout``.
    """
    names = ("about left–right (nodding)", "about front–back (tilting)", "about top–bottom (turning)")
    with styled():
        figure = new_figure(_WIDTH_IN, 5.2)
        panels = figure.subplots(3, 1, sharex=True, sharey=True)
        for component, (axes, name) in enumerate(zip(panels, names, strict=True)):
            for role, colour, width, alpha in _ROLE_LOOKS:
                for impact in [number for number, found in enumerate(roles) if found == role]:
                    axes.plot(time_ms, angular_velocity[impact, :, component], color=colour, lw=width, alpha=alpha)
                axes.plot([], [], color=colour, lw=2, label=f"{_ROLE_WORDS[role]} ({list(roles).count(role)})")
            axes.set_title(f"Rotation {name}")
            axes.axhline(0, color=RULE, lw=0.8, zorder=0)
            axes.margins(x=0)
            soft_grid(axes)
        figure.supylabel("Angular velocity (rad/s)", fontsize=10)
        panels[-1].set_xlabel("Time (ms)")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
        save_png(figure, path)


def histories(path: Path | str, time_ms: np.ndarray, strain: np.ndarray, labels: Sequence[str]) -> None:
    """Example fibre-strain histories.

    Parameters
    ----------
    time_ms : (t,).
    strain : (n, t) engineering strain along the fibre, fractions.
    labels : (n,) what each belongs to; equal labels share a colour, at most seven are told apart.
    """
    kinds = list(dict.fromkeys(labels))
    colours = {kind: CYCLE[number % len(CYCLE)] for number, kind in enumerate(kinds)}
    with styled():
        figure = new_figure(_WIDTH_IN, 3.6)
        axes = figure.add_subplot()
        axes.axhline(0, color=MUTED, lw=0.8, zorder=0)
        for history, label in zip(strain, labels, strict=True):
            axes.plot(time_ms, 100 * history, color=colours[label], lw=1.3, alpha=0.8)
        for kind in kinds:
            axes.plot([], [], color=colours[kind], lw=2, label=kind)
        axes.set(xlabel="Time (ms)", ylabel="Fibre strain (%)")
        axes.margins(x=0)
        soft_grid(axes)
        figure.legend(loc="outside lower center", ncols=min(3, len(kinds)))
        save_png(figure, path)


def layout_spread(path: Path | str, mean: np.ndarray, spread: np.ndarray, labels: Sequence[str]) -> None:
    """What the random gap layout alone changes: standard deviation over layouts against their mean.

    Parameters
    ----------
    mean, spread : (N, outputs) over the common set of layouts, fractions.
    labels : names of the outputs.
    """
    with styled():
        figure = new_figure(_WIDTH_IN, 2.7 * ((len(labels) + 1) // 2))
        panels = figure.subplots((len(labels) + 1) // 2, 2, squeeze=False).ravel()
        for column, (axes, label) in enumerate(zip(panels, labels, strict=False)):
            x, y = mean[:, column], spread[:, column]
            axes.scatter(x, y, s=8, color=BLUE, alpha=0.3, lw=0)
            counted = x > 0.01 * x.max() if x.max() > 0 else np.zeros(len(x), bool)
            if counted.any():
                share = float(np.median(y[counted] / x[counted]))
                right = max(float(x.max()), 1e-12)
                axes.plot([0, right], [0, share * right], color=INK, lw=1.0, ls=(0, (4, 3)))
                note = f"median spread: {100 * share:.0f} % of the mean"
                axes.text(0.03, 0.97, note, transform=axes.transAxes, va="top", fontsize=9)
            axes.set(title=label, xlabel="Mean over layouts (fraction)", ylabel="Spread (fraction)")
            axes.set_ylim(0, 1.22 * max(float(y.max()), 1e-12))
            axes.set_xlim(left=0)
            for side in (axes.xaxis, axes.yaxis):
                side.set_major_locator(MaxNLocator(5))
            soft_grid(axes)
        for axes in panels[len(labels) :]:
            axes.remove()
        save_png(figure, path)


def rate_dependence(
    path: Path | str,
    rate_per_s: np.ndarray,
    outputs: Mapping[str, np.ndarray],
    labels: Sequence[str],
    peak_strain: float,
) -> None:
    """Outputs against strain rate at a fixed peak strain, for each failure criterion of tau.

    Parameters
    ----------
    rate_per_s : (R,) strain rates.
    outputs : name of the criterion -> (R, outputs), fractions.
    labels : names of the outputs.
    peak_strain : the fixed peak axonal strain, fraction.
    """
    looks = ((BLUE, "o", "-"), (ORANGE, "s", (0, (5, 2))), (VERMILLION, "D", (0, (1, 1))))
    with styled():
        figure = new_figure(_WIDTH_IN, 2.6 * ((len(labels) + 1) // 2) + 0.6)
        panels = figure.subplots((len(labels) + 1) // 2, 2, squeeze=False, sharex=True).ravel()
        for column, (axes, label) in enumerate(zip(panels, labels, strict=False)):
            for (name, values), (colour, marker, line) in zip(outputs.items(), looks, strict=False):
                axes.plot(rate_per_s, values[:, column], color=colour, marker=marker, ls=line, label=name)
            axes.set(title=label, xscale="log", ylabel="fraction")
            axes.set_ylim(0, 1.15 * max(max(float(values[:, column].max()) for values in outputs.values()), 1e-6))
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
            axes.yaxis.set_major_locator(MaxNLocator(5))
            soft_grid(axes)
        for axes in panels[-2:]:
            axes.set_xlabel(f"Strain rate (1/s) at {100 * peak_strain:g} % peak strain")
        for axes in panels[len(labels) :]:
            axes.remove()
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
        save_png(figure, path)


def response(
    path: Path | str,
    axonal_strain: np.ndarray,
    outputs: Mapping[str, np.ndarray],
    labels: Sequence[str],
) -> None:
    """Behaviour of the model: outputs against peak axonal strain, one line per loading.

    Parameters
    ----------
    axonal_strain : (S,) peak axonal strain, fractions.
    outputs : name of the loading (such as its rate) -> (S, outputs), fractions.
    labels : names of the outputs.
    """
    with styled():
        figure = new_figure(_WIDTH_IN, 2.6 * ((len(labels) + 1) // 2) + 0.6)
        panels = figure.subplots((len(labels) + 1) // 2, 2, squeeze=False, sharex=True).ravel()
        for column, (axes, label) in enumerate(zip(panels, labels, strict=False)):
            for (name, values), colour in zip(outputs.items(), CYCLE, strict=False):
                axes.plot(100 * axonal_strain, values[:, column], color=colour, marker="o", ms=3.5, label=name)
            axes.set(title=label, ylabel="fraction")
            axes.set_ylim(bottom=0)
            axes.yaxis.set_major_locator(MaxNLocator(5))
            soft_grid(axes)
        for axes in panels[-2:]:
            axes.set_xlabel("Peak axonal strain (%)")
        for axes in panels[len(labels) :]:
            axes.remove()
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
        save_png(figure, path)
