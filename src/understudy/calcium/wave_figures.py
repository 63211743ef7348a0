"""Figures of the reference front with equations and with networks; arrays in, a PNG file out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from understudy.calcium.figure_files import holds, part
from understudy.calcium.goals import COMPACT, HEADLINE
from understudy.report.style import (
    BAND,
    BLUE,
    GREEN,
    GREY,
    INK,
    MAP_COLOURS,
    MUTED,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    new_figure,
    save_png,
    soft_grid,
    styled,
)

WIDE_IN = 7.4
MAP_DPI = 220

EQUATIONS = "equations"
LOOKS = {
    EQUATIONS: ("equations", INK, "-"),
    "one_state": ("one-state closure (4)", ORANGE, "--"),
    "two_state": ("two-state closure (5)", GREEN, "--"),
    "net4": ("network, 4 unknowns", SKY, "-"),
    "net5": ("network, 5 unknowns", BLUE, "-"),
    "net6": ("network, 6 unknowns", PURPLE, "-"),
    "waves_only": ("4 unknowns, waves only", VERMILLION, ":"),
}
"""Words, colour and line of each channel, in the order of keys."""

_QUANTITIES = (("u_uM", "Cytosol (µM)", "magma"), ("e_uM", "ER (µM)", "viridis"), ("open", "Open prob.", "cividis"))
_TRACE = {"u": 0, "e": 1, "open": 3}


def named(names: Sequence[str]) -> list[str]:
    """Known channels among names, in the order of keys."""
    return [name for name in LOOKS if name in names]


def key(figure: Figure, names: Sequence[str], columns: int = 3, **options) -> None:
    """Key of channels below a figure."""
    handles = [
        Line2D([], [], color=GREY if name == EQUATIONS else LOOKS[name][1], ls=LOOKS[name][2],
               lw=4.0 if name == EQUATIONS else 1.6, alpha=0.6 if name == EQUATIONS else 1, label=LOOKS[name][0])
        for name in names
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize=8, **options)


def curve(axes: Axes, x: np.ndarray, y: np.ndarray, name: str) -> None:
    """The course of one channel; that of the equations lies broad and pale below the others."""
    _, colour, line = LOOKS[name]
    if name == EQUATIONS:
        axes.plot(x, y, color=GREY, lw=4.0, alpha=0.6, zorder=1)
    else:
        axes.plot(x, y, color=colour, ls=line, lw=1.4, zorder=2 + list(LOOKS).index(name))


def best_network(front: Mapping[str, Any], prefer: str = HEADLINE) -> str | None:
    """The preferred network among those of a file, else another one."""
    return next((name for name in (prefer, HEADLINE, COMPACT, "net6") if name in front), None)


def _imaged(front: Mapping[str, Any], name: str) -> bool:
    """Whether there are kymographs of the equations and of a network."""
    kinds = [kind for kind, _, _ in _QUANTITIES]
    return holds(front, "time_s", "position_um") and all(holds(front.get(n), *kinds) for n in (EQUATIONS, name))


def _image(axes: Axes, front: Mapping[str, Any], values: np.ndarray, norm: Normalize, colours: str) -> None:
    """A kymograph (T, N): time to the right, the dendrite upwards."""
    time, x = 1e3 * front["time_s"], front["position_um"]
    axes.imshow(
        values.T, origin="lower", aspect="auto", extent=(time[0], time[-1], x[0], x[-1]), cmap=colours, norm=norm,
        interpolation="nearest",
    )  # fmt: skip
    axes.tick_params(labelsize=7.5, length=2)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_locator(MaxNLocator(4))


def _bar(figure: Figure, axes: Sequence[Axes], norm: Normalize, colours: str, words: str) -> None:
    bar = figure.colorbar(ScalarMappable(norm, colours), ax=list(axes), fraction=0.06, pad=0.02, aspect=18)
    bar.outline.set_visible(False)
    bar.set_label(words, fontsize=7.5)
    bar.ax.tick_params(labelsize=7, length=2)
    bar.ax.yaxis.set_major_locator(MaxNLocator(4))


def _centred(values: Sequence[np.ndarray]) -> Normalize:
    """A range about 0 that all but the outermost per mille of differences lie in."""
    reach = max((float(np.nanquantile(np.abs(own), 0.999)) for own in values if own.size), default=0.0)
    return Normalize(-(reach or 1.0), reach or 1.0)


def waves(path: Path | str, front: Mapping[str, Any]) -> bool:
    """Kymographs of cytosolic calcium, ER calcium and open probability: equations, hybrid, differences of networks.

    Parameters
    ----------
    front : group ``front`` of the hybrid's file.

    Returns
    -------
    Whether there was anything to draw.
    """
    shown = best_network(front)
    if shown is None or not _imaged(front, shown):
        return False
    differences = [shown] + ([COMPACT] if shown != COMPACT and _imaged(front, COMPACT) else [])
    with styled():
        figure = new_figure(WIDE_IN, 4.9)
        grid = figure.subplots(3, 2 + len(differences), sharex=True, sharey=True)
        for line, (name, words, colours) in zip(grid, _QUANTITIES, strict=True):
            expected = front[EQUATIONS][name]
            norm = Normalize(0.0, float(expected.max()))
            _image(line[0], front, expected, norm, colours)
            _image(line[1], front, front[shown][name], norm, colours)
            _bar(figure, line[:2], norm, colours, words)
            apart = [front[other][name] - expected for other in differences]
            centred = _centred(apart)
            for axes, values in zip(line[2:], apart, strict=True):
                _image(axes, front, values, centred, "RdBu_r")
            _bar(figure, line[2:], centred, "RdBu_r", words)
        titles = ["Equations", f"Hybrid, {shown[3:]} unknowns"]
        titles += [f"{other[3:]} unknowns: error" for other in differences]
        for axes, title in zip(grid[0], titles, strict=True):
            axes.set_title(title, fontsize=8.5)
        for axes in grid[-1]:
            axes.set_xlabel("Time (ms)", fontsize=8)
        for axes in grid[:, 0]:
            axes.set_ylabel("Distance (µm)", fontsize=8)
        save_png(figure, path, dpi=MAP_DPI, colours=MAP_COLOURS)
    return True


def _traced(front: Mapping[str, Any]) -> list[str]:
    if not holds(front, "trace_time_s", "sites_um"):
        return []
    return named([name for name in front if part(front, name, "traces") is not None])


def traces(path: Path | str, front: Mapping[str, Any]) -> bool:
    """Cytosolic calcium while the front passes three sites, and ER calcium there over the whole run.

    Returns
    -------
    Whether there was anything to draw.
    """
    names = [name for name in _traced(front) if name != "waves_only"]
    if EQUATIONS not in names or len(names) < 2:
        return False
    time, sites = 1e3 * front["trace_time_s"], front["sites_um"]
    with styled():
        figure = new_figure(WIDE_IN, 3.9)
        grid = figure.subplots(2, len(sites), sharey="row", squeeze=False)
        for number, site in enumerate(sites):
            upper, lower = grid[:, number]
            arrival = time[int(np.argmax(front[EQUATIONS]["traces"][:, number, 0]))]
            for name in names:
                values = front[name]["traces"][:, number]
                curve(upper, time, values[:, _TRACE["u"]], name)
                curve(lower, time, values[:, _TRACE["e"]], name)
            upper.set_xlim(max(arrival - 8, time[0]), min(arrival + 22, time[-1]))
            lower.set_xlim(time[0], time[-1])
            upper.set_title(f"at {site:.0f} µm", fontsize=9)
            lower.set_xlabel("Time (ms)", fontsize=8)
            for axes in (upper, lower):
                axes.tick_params(labelsize=7.5)
                axes.set_ylim(bottom=0)
                soft_grid(axes)
        grid[0, 0].set_ylabel("Cytosol (µM)", fontsize=8)
        grid[1, 0].set_ylabel("ER (µM)", fontsize=8)
        key(figure, names)
        save_png(figure, path)
    return True


def _middle(front: Mapping[str, Any]) -> int:
    return len(front["sites_um"]) // 2


def _open_course(axes: Axes, front: Mapping[str, Any], names: Sequence[str]) -> None:
    time, site = 1e3 * front["trace_time_s"], _middle(front)
    for name in names:
        curve(axes, time, front[name]["traces"][:, site, _TRACE["open"]], name)
    axes.set(xlim=(time[0], time[-1]), ylim=(0, 1.03))
    axes.set_xlabel("Time (ms)", fontsize=8)
    axes.tick_params(labelsize=7.5)
    soft_grid(axes)


def open_probability(path: Path | str, front: Mapping[str, Any]) -> bool:
    """Open probability in closed loop half-way along, with every channel, and its difference from the equations'.

    Returns
    -------
    Whether there was anything to draw.
    """
    names = _traced(front)
    if EQUATIONS not in names or len(names) < 2:
        return False
    time, site = 1e3 * front["trace_time_s"], _middle(front)
    with styled():
        figure = new_figure(WIDE_IN, 3.1)
        left, right = figure.subplots(1, 2)
        _open_course(left, front, names)
        left.set_title(f"Open probability at {front['sites_um'][site]:.0f} µm", fontsize=9)
        expected = front[EQUATIONS]["traces"][:, site, _TRACE["open"]]
        arrival = time[int(np.argmax(expected > 0.1))]
        for name in names[1:]:
            curve(right, time - arrival, front[name]["traces"][:, site, _TRACE["open"]] - expected, name)
        right.axhline(0, color=MUTED, lw=0.8, zorder=0)
        right.set_xlim(-5, float(time[-1] - arrival))
        right.set_xscale("symlog", linthresh=5, linscale=0.6)
        right.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        right.set_xlabel("Time since the front arrived (ms)", fontsize=8)
        right.set_title("Less that of the equations", fontsize=9)
        right.tick_params(labelsize=7.5)
        soft_grid(right)
        key(figure, names)
        save_png(figure, path)
    return True


def lead(
    path: Path | str, front: Mapping[str, Any], speeds: Mapping[str, tuple[np.ndarray, np.ndarray]], goal: float
) -> bool:
    """Kymographs with equations, network and their difference; below, open probability, and speed at each step.

    Parameters
    ----------
    speeds : channel -> steps (D,) in s and errors of speed (D,) as fractions.
    goal : error of speed that is aimed at.

    Returns
    -------
    Whether there was anything to draw.
    """
    shown = best_network(front)
    if shown is None or not _imaged(front, shown):
        return False
    expected, found = front[EQUATIONS]["u_uM"], front[shown]["u_uM"]
    with styled():
        figure = new_figure(WIDE_IN, 4.5)
        upper, lower = figure.subfigures(2, 1, height_ratios=(1.0, 1.1))
        images = upper.subplots(1, 3, sharey=True)
        norm, apart = Normalize(0.0, float(expected.max())), _centred([found - expected])
        for axes, values, own, colours in zip(
            images, (expected, found, found - expected), (norm, norm, apart), ("magma", "magma", "RdBu_r"), strict=True
        ):
            _image(axes, front, values, own, colours)
            axes.set_xlabel("Time (ms)", fontsize=8)
        _bar(upper, images[:2], norm, "magma", "Cytosol (µM)")
        _bar(upper, images[2:], apart, "RdBu_r", "Cytosol (µM)")
        for axes, words in zip(images, ("Equations", f"Network, {shown[3:]} unknowns", "Its error"), strict=True):
            axes.set_title(words, fontsize=9)
        images[0].set_ylabel("Distance (µm)", fontsize=8)
        names = [name for name in _traced(front) if name in (EQUATIONS, "one_state", COMPACT, HEADLINE)]
        left, right = lower.subplots(1, 2)
        if EQUATIONS in names:
            _open_course(left, front, names)
        left.set_title("Open probability half-way along", fontsize=9)
        drawn = [name for name in names if name in speeds]
        for name in drawn:
            step, error = speeds[name]
            _, colour, line = LOOKS[name]
            # Without a wave there is no speed to compare, and its error of -1 would hide the others.
            right.plot(
                1e6 * step, np.where(error > -1, 100 * error, np.nan), color=colour, ls=line, marker="o", ms=4, lw=1.4
            )
        _step_axis(right, np.concatenate([speeds[name][0] for name in drawn]) if drawn else np.array([1e-5, 1e-4]))
        right.axhspan(-100 * goal, 100 * goal, color=BAND, zorder=0, lw=0)
        right.axhline(0, color=MUTED, lw=0.8, zorder=0)
        right.set_title("Error of speed at each time step (%)", fontsize=9)
        key(lower, names, columns=4)
        save_png(figure, path, dpi=MAP_DPI, colours=MAP_COLOURS)
    return True


def _step_axis(axes: Axes, steps_s: np.ndarray) -> None:
    """A logarithmic axis of time steps in us with the steps themselves as marks."""
    at = np.unique(np.round(1e6 * steps_s, 3))
    axes.set_xscale("log")
    axes.set_xlim(0.8 * at[0], 1.25 * at[-1])
    axes.set_xticks(at, [f"{value:g}" for value in at])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("Time step (µs)", fontsize=8)
    axes.tick_params(labelsize=7.5)
    soft_grid(axes)
