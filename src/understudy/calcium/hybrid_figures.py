"""Figures of the hybrid beyond the reference front: clamps, steps, held-out sets, thresholds, recovery."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

from understudy.calcium.figure_files import holds, part
from understudy.calcium.goals import CHANNELS, HELDOUT_MAX, SHIFT_UM, STEPS
from understudy.calcium.wave_figures import EQUATIONS, LOOKS, WIDE_IN, curve, key, named
from understudy.report.numbers import is_number
from understudy.report.style import BAND, GREY, INK, MUTED, RULE, new_figure, save_png, soft_grid, styled
from understudy.report.wording import inside


def numbers(values: Any) -> np.ndarray:
    """Numbers of a results file; NaN where it holds null."""
    return np.array([float(value) if is_number(value) else np.nan for value in values])


def _small(axes: Axes, x: str, y: str, title: str = "") -> None:
    axes.set_xlabel(x, fontsize=8)
    axes.set_ylabel(y, fontsize=8)
    axes.set_title(title, fontsize=9)
    axes.tick_params(labelsize=7.5)
    soft_grid(axes)


def _plain_log(axis: Any, marks: list[float]) -> None:
    axis.set_major_locator(FixedLocator(marks))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_locator(NullLocator())


def clamps(path: Path | str, found: Mapping[str, Any]) -> bool:
    """Open probability while calcium is held high and after, one panel per clamp.

    Parameters
    ----------
    found : group ``clamps``: ``time_s``, ``u_uM`` and one array for each channel, (C, M).

    Returns
    -------
    Whether there was anything to draw.
    """
    names = named([name for name in found if name in LOOKS])
    if EQUATIONS not in names or len(names) < 2 or not holds(found, "time_s", "u_uM"):
        return False
    count = min(len(found["time_s"]), 4)
    with styled():
        figure = new_figure(WIDE_IN, 2.7)
        panels = figure.subplots(1, count, sharey=True, squeeze=False)[0]
        for number, axes in enumerate(panels):
            time, held = 1e3 * found["time_s"][number], found["u_uM"][number]
            for name in names:
                curve(axes, time, found[name][number], name)
            high = time[held > 0.5 * held.max()]
            if len(high) < len(time):
                axes.axvspan(high[0], high[-1], color=BAND, zorder=0, lw=0)
            axes.set_xscale("log")
            axes.set_xlim(time[time > 0].min(), time.max())
            _plain_log(axes.xaxis, [0.1, 1, 10, 100, 1000])
            _small(axes, "Time (ms)", "", f"{held.max():.3g} µM")
        panels[0].set_ylabel("Open probability", fontsize=8)
        panels[0].set_ylim(0, 1.03)
        key(figure, names)
        save_png(figure, path)
    return True


def steps(path: Path | str, channels: Mapping[str, Any]) -> bool:
    """Speed of the reference front against the time step, and its error against the equations at the same step.

    Parameters
    ----------
    channels : ``channels`` of ``hybrid.json``.

    Returns
    -------
    Whether there was anything to draw.
    """
    names = named([name for name in channels if inside(channels, name, "steps", "step_s")])
    if not names:
        return False
    with styled():
        figure = new_figure(WIDE_IN, 3.0)
        left, right = figure.subplots(1, 2)
        first = channels[names[0]]["steps"]
        at = 1e6 * numbers(first["step_s"])
        curve(left, at, numbers(first["equations"]), EQUATIONS)
        right.axhspan(-100 * STEPS[1], 100 * STEPS[1], color=BAND, zorder=0, lw=0)
        right.axhline(0, color=MUTED, lw=0.8, zorder=0)
        reach = 0.0
        for name in names:
            own = channels[name]["steps"]
            _, colour, line = LOOKS[name]
            x, speed, error = 1e6 * numbers(own["step_s"]), numbers(own["channel"]), 100 * numbers(own["error"])
            # Where no wave passes the speed is 0 and nothing is left to compare; the table says so.
            speed, error = (np.where(speed > 0, values, np.nan) for values in (speed, error))
            left.plot(x, speed, color=colour, ls=line, marker="o", ms=3.5, lw=1.3)
            right.plot(x, error, color=colour, ls=line, marker="o", ms=3.5, lw=1.3)
            if name != "waves_only":
                reach = max(reach, float(np.nanmax(np.abs(error), initial=0.0)))
        for axes in (left, right):
            axes.set_xscale("log")
            axes.set_xlim(0.8 * at.min(), 1.25 * at.max())
            axes.set_xticks(np.sort(at), [f"{value:g}" for value in np.sort(at)])
            axes.set_xticks([], minor=True)
        reach = 1.3 * max(reach, 100 * STEPS[1])
        right.set_ylim(-reach, reach)
        _small(left, "Time step (µs)", "Speed (µm/s)", "Speed of the reference front")
        _small(right, "Time step (µs)", "Error (%)", "Against the equations at the same step")
        key(figure, [EQUATIONS, *names])
        save_png(figure, path)
    return True


def heldout(path: Path | str, found: Mapping[str, Any]) -> bool:
    """Speeds on held-out parameter sets: found against expected, and the errors of every channel, set by set.

    Parameters
    ----------
    found : group ``heldout`` of the hybrid's file.

    Returns
    -------
    Whether there was anything to draw.
    """
    names = named([name for name in found if part(found, name, "found") is not None])
    if not names or part(found, "expected") is None:
        return False
    expected = np.asarray(found["expected"], dtype=float)
    conditioned = np.asarray(part(found, "conditioned") if "conditioned" in found else np.zeros(len(expected)), bool)
    with styled():
        figure = new_figure(WIDE_IN, 3.3)
        left, right = figure.subplots(1, 2, width_ratios=(1.0, 1.15))
        shown = [name for name in ("one_state", "net4", "net5") if name in names]
        top = 1.06 * max(float(found[name]["found"].max()) for name in shown or names)
        top = max(top, 1.06 * float(expected.max()), 1.0)
        left.plot([0, top], [0, top], color=MUTED, lw=0.9, zorder=1)
        for name in shown or names[:1]:
            _dots(left, expected, np.asarray(found[name]["found"], dtype=float), conditioned, LOOKS[name][1], 4.5)
        left.set(xlim=(-0.02 * top, top), ylim=(-0.02 * top, top), aspect="equal")
        _small(left, "Speed with equations (µm/s)", "With the channel (µm/s)", "Speed set by set")
        low, worst = 0.003, 30.0
        for row, name in enumerate(names):
            own = np.asarray(found[name]["found"], dtype=float)
            both, one = (expected > 0) & (own > 0), (expected > 0) != (own > 0)
            error = np.full(len(own), np.nan)
            error[both] = 100 * np.abs(own[both] / expected[both] - 1)
            error[one] = worst
            spread = row + 0.22 * np.sin(2.4 * np.arange(len(own)))
            _dots(right, np.clip(error, low, worst), spread, conditioned, LOOKS[name][1], 4.0)
            if both.any():
                middle = max(float(np.median(error[both])), low)
                right.plot([middle] * 2, [row - 0.34, row + 0.34], color=INK, lw=1.6, zorder=5)
        for limit in HELDOUT_MAX:
            right.axvline(100 * limit, color=MUTED, lw=0.8, ls=(0, (4, 3)), zorder=0)
        right.set(xscale="log", xlim=(0.8 * low, 1.4 * worst), ylim=(len(names) - 0.4, -0.6))
        right.set_xticks([0.01, 0.1, 1, 3, 10, worst], ["0.01", "0.1", "1", "3", "10", "≥ 30"])
        right.xaxis.set_minor_locator(NullLocator())
        right.set_yticks(range(len(names)), [CHANNELS[name].replace(", ", ",\n") for name in names], fontsize=7.5)
        _small(right, "Error of speed (%), logarithmic", "", "All channels")
        soft_grid(right, "x")
        right.grid(False, axis="y")
        right.tick_params(axis="y", length=0, labelsize=7)
        handles = [
            *(Line2D([], [], marker="o", ms=5, ls="none", color=LOOKS[n][1], label=LOOKS[n][0]) for n in shown),
            Line2D([], [], marker="o", ms=5, ls="none", color=INK, label="from rest"),
            Line2D([], [], marker="o", ms=5, ls="none", mfc="white", mec=INK, label="preconditioned"),
            Line2D([], [], color=INK, lw=1.6, label="median"),
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=7.5)
        save_png(figure, path)
    return True


def _dots(axes: Axes, x: np.ndarray, y: np.ndarray, hollow: np.ndarray, colour: str, size: float) -> None:
    axes.plot(x[~hollow], y[~hollow], "o", ms=size, color=colour, mec="white", mew=0.4, ls="none", zorder=3)
    axes.plot(x[hollow], y[hollow], "o", ms=size, mfc="none", mec=colour, mew=1.1, ls="none", zorder=4)


def thresholds(path: Path | str, channels: Mapping[str, Any], runs: Mapping[str, Any] | None) -> bool:
    """Shift of the threshold ER radius with each channel, and which runs near it made a wave.

    Parameters
    ----------
    channels : ``channels`` of ``hybrid.json``.
    runs : group ``threshold`` of the hybrid's file, or None.

    Returns
    -------
    Whether there was anything to draw.
    """
    names = named([name for name in channels if is_number(inside(channels, name, "threshold", "shift_um"))])
    if not names:
        return False
    expected = float(channels[names[0]]["threshold"]["expected_um"])
    have = [name for name in (EQUATIONS, *names) if part(runs, name) is not None and "radius_um" in (runs or {})]
    with styled():
        figure = new_figure(WIDE_IN, 1.25 + 0.27 * (len(names) + 1))
        left, right = figure.subplots(1, 2) if len(have) > 1 else (figure.subplots(), None)
        for width, colour in zip(SHIFT_UM, (BAND, RULE), strict=True):
            left.axvspan(-1e3 * width, 1e3 * width, color=colour, zorder=0, lw=0)
        for row, name in enumerate(names):
            shift = 1e3 * float(channels[name]["threshold"]["shift_um"])
            left.plot([0, shift], [row, row], color=LOOKS[name][1], lw=1.4, zorder=2)
            left.plot([shift], [row], "o", ms=6, color=LOOKS[name][1], zorder=3)
        left.axvline(0, color=MUTED, lw=0.9, zorder=1)
        reach = 1.15 * max(1e3 * SHIFT_UM[0], *(abs(v) for v in left.get_xlim()))
        left.set(xlim=(-reach, reach), ylim=(len(names) - 0.4, -0.6))
        left.set_yticks(range(len(names)), [LOOKS[name][0] for name in names], fontsize=7.5)
        _small(left, "Shift of the threshold radius (nm)", "", f"Threshold {expected:.4f} µm with the equations")
        left.grid(False, axis="y")
        if right is not None:
            ratio = np.asarray(runs["radius_um"], dtype=float) / expected
            for row, name in enumerate(have):
                wave = np.asarray(runs[name]).astype(bool)
                colour = GREY if name == EQUATIONS else LOOKS[name][1]
                shown = {True: {"color": colour}, False: {"mfc": "white", "mec": colour, "mew": 0.9}}
                for kind, look in shown.items():
                    at = wave == kind
                    right.plot(ratio[at], np.full(at.sum(), row), "o", ms=4.0, ls="none", zorder=3, **look)
            right.axvline(1, color=MUTED, lw=0.9, zorder=1)
            right.set(ylim=(len(have) - 0.4, -0.6))
            right.set_yticks(range(len(have)), [LOOKS[name][0] for name in have], fontsize=7.5)
            _small(right, "ER radius over the threshold", "", "Wave (filled) or none (open)")
            right.grid(False, axis="y")
        save_png(figure, path)
    return True


def recovery(path: Path | str, channels: Mapping[str, Any]) -> bool:
    """Response to a second stimulus against the gap, with equations, closures and networks.

    Returns
    -------
    Whether there was anything to draw.
    """
    names = named([name for name in channels if inside(channels, name, "recovery", "gap_s")])
    if not names:
        return False
    with styled():
        figure = new_figure(WIDE_IN, 3.0)
        left, right = figure.subplots(1, 2, width_ratios=(1.5, 1.0))
        first = channels[names[0]]["recovery"]
        gap = numbers(first["gap_s"])
        curve(left, gap, numbers(first["expected"]), EQUATIONS)
        left.plot(gap, numbers(first["expected"]), "o", ms=4, color=GREY, zorder=1)
        for name in names:
            own = channels[name]["recovery"]
            curve(left, numbers(own["gap_s"]), numbers(own["found"]), name)
        left.set(xscale="log", xlim=(0.85 * gap.min(), 1.18 * gap.max()))
        left.set_ylim(-0.03, max(1.05, left.get_ylim()[1]))
        _plain_log(left.xaxis, [0.1, 0.3, 1, 3, 10, 30])
        _small(left, "Gap between the stimuli (s)", "Second response over the first", "Recovery")
        errors = [channels[name]["recovery"].get("nrmse") for name in names]
        for row, (name, error) in enumerate(zip(names, errors, strict=True)):
            if is_number(error):
                right.barh(row, 100 * error, color=LOOKS[name][1], height=0.55)
                right.text(100 * error, row, f" {100 * error:.3g}", va="center", fontsize=7.5)
        right.set_ylim(len(names) - 0.4, -0.6)
        right.set_yticks(range(len(names)), [LOOKS[name][0] for name in names], fontsize=7.5)
        right.set_xlim(0, 1.2 * max([100 * e for e in errors if is_number(e)] or [1.0]))
        _small(right, "NRMSE (%)", "", "Against the equations")
        right.grid(False, axis="y")
        key(figure, [EQUATIONS, *names])
        save_png(figure, path)
    return True
