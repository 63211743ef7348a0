"""Figures of the reference physics: convergence, and where the cable may stand for the dendrite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator, StrMethodFormatter

from understudy.calcium.goals import EXPECTED_ORDERS
from understudy.calcium.hybrid_figures import numbers
from understudy.calcium.wave_figures import WIDE_IN
from understudy.report.numbers import is_number
from understudy.report.style import (
    BLUE,
    CYCLE,
    GREY,
    INK,
    MUTED,
    ORANGE,
    PUBLISHED,
    new_figure,
    save_png,
    soft_grid,
    styled,
)


def _small(axes: Axes, x: str, y: str, title: str = "") -> None:
    axes.set_xlabel(x, fontsize=8)
    axes.set_ylabel(y, fontsize=8)
    axes.set_title(title, fontsize=9)
    axes.tick_params(labelsize=7.5)
    soft_grid(axes)


def _marks(axis: Any, values: Sequence[float]) -> None:
    axis.set_major_locator(FixedLocator(list(values)))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_locator(NullLocator())


def _order(axes: Axes, x: np.ndarray, error: np.ndarray, order: int, colour: str, label: str) -> None:
    """Errors, and the slope of the order in theory through the last of them."""
    at = int(np.argmin(x))
    axes.plot(x, error[at] * (x / x[at]) ** order, color=colour, lw=0.9, ls=(0, (4, 3)), alpha=0.8)
    axes.plot(x, error, "o", ms=5, color=colour, label=label)


def convergence(path: Path | str, benchmarks: Mapping[str, Any]) -> bool:
    """Errors of manufactured solutions in space and time, and the front's speed against the spacing.

    Parameters
    ----------
    benchmarks : ``benchmarks`` of ``verification.json``.

    Returns
    -------
    Whether there was anything to draw.
    """
    found = benchmarks.get("convergence") or {}
    front = {float(at): entry for at, entry in (benchmarks.get("front") or {}).items() if is_number(entry.get("speed"))}
    if not found and not front:
        return False
    with styled():
        figure = new_figure(WIDE_IN, 2.6)
        space, time, speed = figure.subplots(1, 3)
        if found.get("space"):
            x = numbers(found["space"]["spacing_um"])
            _order(space, x, numbers(found["space"]["error"]), EXPECTED_ORDERS["space"], BLUE, "second order")
            space.set(xscale="log", yscale="log")
            _marks(space.xaxis, x)
            space.legend(fontsize=7.5)
        for key, words, colour in (("time", "Crank-Nicolson", BLUE), ("fallback_time", "fallback (Euler)", ORANGE)):
            if found.get(key):
                x = 1e6 * numbers(found[key]["step_s"])
                _order(time, x, numbers(found[key]["error"]), EXPECTED_ORDERS[key], colour, words)
                time.set(xscale="log", yscale="log")
        if time.has_data():
            _marks(time.xaxis, [6.25, 12.5, 25, 50, 100])
            time.legend(fontsize=7.5)
        if front:
            x = np.array(sorted(front))
            speed.plot(x, [front[at]["speed"] for at in x], "o", ms=6, color=BLUE, label="this solver")
            expected = [front[at].get("expected") or np.nan for at in x]
            speed.plot(x, expected, "x", ms=7, mew=1.3, color=INK, label="LSODA and rxd")
            speed.set(xlim=(0, 1.1 * x.max()))
            speed.legend(fontsize=7.5)
        for axes in (space, time):
            axes.yaxis.set_minor_formatter(NullFormatter())
        _small(space, "Spacing (µm)", "Error of a manufactured solution", "Space")
        _small(time, "Time step (µs)", "", "Time")
        _small(speed, "Spacing (µm)", "Speed (µm/s)", "Reference front")
        save_png(figure, path)
    return True


def validity(path: Path | str, benchmarks: Mapping[str, Any]) -> bool:
    """Speed of the cable over that of the resolved dendrite, and threshold ER radii of both beside published ones.

    Returns
    -------
    Whether there was anything to draw.
    """
    grid = [entry for entry in benchmarks.get("validity") or [] if is_number(entry.get("dendrite_speed"))]
    radii = [entry for entry in benchmarks.get("radii") or [] if is_number(entry.get("found_um"))]
    if not grid and not radii:
        return False
    with styled():
        figure = new_figure(WIDE_IN, 3.1)
        if grid and radii:
            left, right = figure.subplots(1, 2)
        else:
            left = right = figure.subplots()
        if grid:
            _speeds(left, grid)
        if radii:
            _radii(right, radii)
        save_png(figure, path)
    return True


def _speeds(axes: Axes, grid: Sequence[Mapping[str, Any]]) -> None:
    """Error of the cable's speed by radius, one line per density; a wave in one model alone is a cross at the edge."""
    densities = sorted({entry["receptors_per_um2"] for entry in grid})
    everything = []
    for density, colour in zip(densities, CYCLE, strict=False):
        own = sorted((e for e in grid if e["receptors_per_um2"] == density), key=lambda entry: entry["radius_um"])
        both = [entry for entry in own if entry["cable_speed"] > 0 and entry["dendrite_speed"] > 0]
        x = [entry["radius_um"] for entry in both]
        y = [100 * (entry["cable_speed"] / entry["dendrite_speed"] - 1) for entry in both]
        everything += y
        axes.plot(x, y, "o-", ms=4.5, lw=1.2, color=colour, label=f"{density:g} receptors/µm²")
    low = min([*everything, 0.0])
    margin = 0.1 * (max([*everything, 1.0]) - low)
    for density, colour in zip(densities, CYCLE, strict=False):
        for entry in grid:
            if entry["receptors_per_um2"] == density and (entry["cable_speed"] > 0) != (entry["dendrite_speed"] > 0):
                axes.plot([entry["radius_um"]], [low - margin], "x", ms=6, mew=1.4, color=colour)
    axes.axhline(0, color=MUTED, lw=0.9, zorder=0)
    axes.set_xscale("log")
    _marks(axes.xaxis, sorted({entry["radius_um"] for entry in grid}))
    axes.legend(fontsize=7.5)
    _small(axes, "Radius of the dendrite (µm)", "Cable less dendrite (%)", "Speed: cable against resolved dendrite")


def _radii(axes: Axes, radii: Sequence[Mapping[str, Any]]) -> None:
    """Published, resolved and cable thresholds, one row per radius and density."""
    own = sorted(radii, key=lambda entry: (entry["radius_um"], entry["receptors_per_um2"]))
    for row, entry in enumerate(own):
        axes.plot([entry["published_um"]], [row], "|", ms=11, mew=2.2, color=PUBLISHED, zorder=4)
        if is_number(entry.get("cable_um")):
            axes.plot([entry["found_um"], entry["cable_um"]], [row, row], color=GREY, lw=0.9, zorder=1)
            axes.plot([entry["cable_um"]], [row], "o", ms=5.5, mfc="white", mec=BLUE, mew=1.2, zorder=3)
        axes.plot([entry["found_um"]], [row], "o", ms=5, color=BLUE, zorder=3)
    axes.set_xscale("log")
    _marks(axes.xaxis, [0.02, 0.05, 0.1, 0.2, 0.5])
    axes.set_ylim(len(own) - 0.4, -0.6)
    labels = [f"R {entry['radius_um']:g} µm, {entry['receptors_per_um2']:g}/µm²" for entry in own]
    axes.set_yticks(range(len(own)), labels, fontsize=7.5)
    _small(axes, "Threshold ER radius (µm)", "", "Least ER radius for a wave")
    axes.grid(False, axis="y")
    handles = [
        Line2D([], [], marker="|", ms=10, mew=2.2, ls="none", color=PUBLISHED, label="published, 2D"),
        Line2D([], [], marker="o", ms=5, ls="none", color=BLUE, label="resolved dendrite, 2D"),
    ]
    if any(is_number(entry.get("cable_um")) for entry in own):
        handles.append(Line2D([], [], marker="o", ms=5.5, ls="none", mfc="white", mec=BLUE, label="cable, 1D"))
    axes.legend(handles=handles, fontsize=7, loc="best")
