"""Figures of the channel family, of channels from observations, and of designed channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator, StrMethodFormatter

from understudy.calcium.figure_files import ATTRIBUTES, holds, part
from understudy.calcium.goals import INVERSE
from understudy.calcium.hybrid_figures import numbers
from understudy.calcium.wave_figures import WIDE_IN
from understudy.report.numbers import duration, is_number
from understudy.report.style import (
    BAND,
    BLUE,
    GREEN,
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
from understudy.report.wording import inside

MEMBERS = {
    "sodium": "Sodium (m³h)",
    "potassium": "Potassium (n⁴)",
    "calcium_hva": "Calcium, HVA (m²h)",
    "ip3_receptor": "IP3 receptor",
    "ryanodine_receptor": "Ryanodine receptor",
}
"""Channels of the family for people, in the order of tables."""

KNOBS = {
    "open_max": "Largest open probability",
    "inactivation_s": "Time of inactivation (ms)",
    "activation_uM": "Calcium of activation (µM)",
}
_MARKS = [k * 10.0**d for d in range(-3, 4) for k in (1, 1.5, 2, 3, 5, 7)]
_BRIEF = {"sodium": "Na", "potassium": "K", "calcium_hva": "Ca", "ip3_receptor": "IP3R", "ryanodine_receptor": "RyR"}
_KNOB_SCALE = {"inactivation_s": 1e3}
OUTCOMES = {
    "amplitude": ("Amplitude (µM)", 1.0),
    "duration": ("Duration (ms)", 1e3),
    "threshold": ("Threshold influx (mM µm/s)", 1e-3),
}


def _small(axes: Axes, x: str, y: str, title: str = "") -> None:
    axes.set_xlabel(x, fontsize=8)
    axes.set_ylabel(y, fontsize=8)
    axes.set_title(title, fontsize=8.5)
    axes.tick_params(labelsize=7)
    soft_grid(axes)


def channels(path: Path | str, courses: Mapping[str, Any], members: Sequence[Mapping[str, Any]]) -> bool:
    """A held-out protocol of each channel over its intervals, exact and by the network; and NRMSE of all protocols.

    Parameters
    ----------
    courses : group ``members`` of the channels' file (may be empty).
    members : ``members`` of ``channels.json``.

    Returns
    -------
    Whether there was anything to draw.
    """
    shown = [name for name in MEMBERS if holds(part(courses, name), "time_s", "truth", "network")]
    judged = [entry for name in MEMBERS for entry in members if entry.get("channel") == name]
    if not shown and not judged:
        return False
    with styled():
        figure = new_figure(WIDE_IN, 4.2)
        panels = figure.subplots(2, 3).ravel()
        for axes, name in zip(panels, MEMBERS, strict=False):
            if name not in shown:
                axes.set_axis_off()
                continue
            own = courses[name]
            # Of the protocols that the file holds, the one that opens the channel most.
            row = int(np.argmax(np.ptp(own["truth"], axis=1)))
            axes.plot(own["truth"][row], color=GREY, lw=4.0, alpha=0.6)
            axes.plot(own["network"][row], color=BLUE, lw=1.3)
            axes.set_xlim(0, own["truth"].shape[1] - 1)
            axes.set_ylim(bottom=0)
            axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
            axes.yaxis.set_major_locator(MaxNLocator(4))
            _small(axes, f"Interval, {duration(own['time_s'][row][-1])} in all", "", MEMBERS[name])
        for axes in panels[[0, 3]]:
            axes.set_ylabel("Open probability", fontsize=8)
        _member_errors(panels[5], judged)
        handles = [
            Line2D([], [], color=GREY, lw=4, alpha=0.6, label="exact"),
            Line2D([], [], color=BLUE, lw=1.3, label="network"),
            Line2D([], [], marker="o", ms=5, ls="none", color=BLUE, label="error, drawn protocols"),
            Line2D([], [], marker="o", ms=5, ls="none", mfc="white", mec=BLUE, label="error, recorded waveforms"),
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=7.5)
        save_png(figure, path)
    return True


def _member_errors(axes: Axes, judged: Sequence[Mapping[str, Any]]) -> None:
    """NRMSE of each channel on drawn protocols (filled) and recorded waveforms (open), logarithmic."""
    known = []
    for row, entry in enumerate(judged):
        for kind, look in (("drawn", {"color": BLUE}), ("recorded", {"mfc": "white", "mec": BLUE, "mew": 1.2})):
            value = inside(entry, kind, "nrmse")
            if is_number(value) and value > 0:
                known.append(100 * value)
                axes.plot([100 * value], [row], "o", ms=5.5, ls="none", **look)
    axes.set_ylim(len(judged) - 0.4, -0.6)
    axes.set_yticks(range(len(judged)), [_BRIEF[entry["channel"]] for entry in judged], fontsize=7)
    if known:
        axes.set_xscale("log")
        axes.set_xlim(0.6 * min(known), 1.7 * max(known))
        axes.xaxis.set_major_locator(FixedLocator([0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30]))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.xaxis.set_minor_locator(NullLocator())
    _small(axes, "NRMSE (%)", "", "Held-out protocols")
    axes.grid(False, axis="y")


def spikes(path: Path | str, found: Mapping[str, Any]) -> bool:
    """Voltage of the axon with exact channels and with networks, and the difference.

    Parameters
    ----------
    found : group ``spikes`` of the channels' file.

    Returns
    -------
    Whether there was anything to draw.
    """
    looks = {"sodium": ORANGE, "potassium": GREEN, "both": BLUE}
    names = [name for name in looks if name in found]
    if not holds(found, "exact", "time_ms") or not names:
        return False
    time, exact = found["time_ms"], found["exact"]
    with styled():
        figure = new_figure(WIDE_IN, 2.8)
        left, right = figure.subplots(1, 2)
        left.plot(time, exact, color=GREY, lw=4.0, alpha=0.6)
        left.plot(time, found[names[-1]], color=looks[names[-1]], lw=1.3)
        for name in names:
            right.plot(time, found[name] - exact, color=looks[name], lw=1.2)
        right.axhline(0, color=MUTED, lw=0.8, zorder=0)
        for axes in (left, right):
            axes.set_xlim(time[0], time[-1])
        _small(left, "Time (ms)", "Voltage (mV)", "Action potentials half-way along the axon")
        _small(right, "Time (ms)", "Difference (mV)", "Less those of exact channels")
        handles = [Line2D([], [], color=GREY, lw=4, alpha=0.6, label="exact")]
        handles += [Line2D([], [], color=looks[n], lw=1.3, label=f"{n} by network{'s' * (n == 'both')}") for n in names]
        figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=7.5)
        save_png(figure, path)
    return True


def observations(path: Path | str, found: Mapping[str, Any]) -> bool:
    """One protocol of each observed channel: what was seen, the truth, the network's course and the smoothed one.

    Parameters
    ----------
    found : group ``observations`` of the channels' file.

    Returns
    -------
    Whether there was anything to draw.
    """
    numbered = sorted((key for key in found if key != ATTRIBUTES), key=lambda key: (len(key), key))
    entries = [found[key] for key in numbered if holds(found[key], "time_s", "observed", "truth", "network")]
    if not entries:
        return False
    entries = entries[:4]
    with styled():
        figure = new_figure(WIDE_IN, 4.0)
        grid = figure.subplots(2, len(entries), squeeze=False, sharex="col", height_ratios=(1.0, 1.5))
        for (upper, lower), entry in zip(grid.T, entries, strict=True):
            about = entry.get(ATTRIBUTES) or {}
            upper.plot(entry["observed"], ".", ms=2.5, color=VERMILLION)
            channel = str(about.get("channel", ""))
            _small(upper, "", "", f"{MEMBERS.get(channel, channel)},\n{about.get('kind', '')}")
            lower.plot(entry["truth"], color=GREY, lw=4.0, alpha=0.6)
            if "smoothing" in entry:
                lower.plot(entry["smoothing"], color=ORANGE, lw=1.1)
            lower.plot(entry["network"], color=BLUE, lw=1.3)
            lower.set_xlim(0, len(entry["truth"]) - 1)
            lower.set_ylim(bottom=0)
            for axes in (upper, lower):
                axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
            _small(lower, f"Interval, {duration(entry['time_s'][-1])} in all", "")
        grid[0, 0].set_ylabel("Observed", fontsize=8)
        grid[1, 0].set_ylabel("Open probability", fontsize=8)
        handles = [
            Line2D([], [], marker=".", ls="none", color=VERMILLION, label="observed"),
            Line2D([], [], color=GREY, lw=4, alpha=0.6, label="truth"),
            Line2D([], [], color=BLUE, lw=1.3, label="network"),
            Line2D([], [], color=ORANGE, lw=1.1, label="smoothing"),
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=7.5)
        save_png(figure, path)
    return True


def knobs(path: Path | str, found: Sequence[Mapping[str, Any]], waves: Mapping[str, Any] | None) -> bool:
    """Outcome against each knob, network by network with the design's own; below, how the wave changes.

    Parameters
    ----------
    found : ``knobs`` of ``design.json``.
    waves : group ``waves`` of the designs' file, or None.

    Returns
    -------
    Whether there was anything to draw.
    """
    found = [entry for entry in found if entry.get("outcomes")]
    if not found:
        return False
    rows = 2 if any(part(waves, entry["knob"], "calcium_uM") is not None for entry in found) else 1
    with styled():
        figure = new_figure(WIDE_IN, 2.5 * rows)
        grid = figure.subplots(rows, len(found), squeeze=False)
        for number, entry in enumerate(found):
            knob, (words, scale) = entry["knob"], OUTCOMES[entry["outcome"]]
            axes, x = grid[0, number], _KNOB_SCALE.get(entry["knob"], 1.0) * numbers(entry["values"])
            for outcomes in entry["outcomes"]:
                axes.plot(x, scale * numbers(outcomes), "o-", ms=3.5, lw=1.0, color=BLUE, alpha=0.6)
            axes.plot(x, scale * numbers(entry.get("designed") or []), color=INK, lw=1.1, ls="--", zorder=5)
            axes.set(xscale="log", yscale="log")
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_locator(FixedLocator(_MARKS))
                axis.set_major_formatter(StrMethodFormatter("{x:g}"))
                axis.set_minor_locator(NullLocator())
            _small(axes, KNOBS.get(knob, knob), words)
            if rows == 2:
                _wave_family(grid[1, number], part(waves, knob))
        handles = [
            Line2D([], [], color=BLUE, marker="o", ms=3.5, lw=1, alpha=0.7, label="networks, one line per seed"),
            Line2D([], [], color=INK, ls="--", lw=1.1, label="the design itself"),
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=7.5)
        save_png(figure, path)
    return True


def _wave_family(axes: Axes, found: Mapping[str, Any] | None) -> None:
    """Calcium at one place for all values of a knob, from the lowest (dark) to the highest (light)."""
    if not holds(found, "time_s", "calcium_uM"):
        axes.set_axis_off()
        return
    count = len(found["calcium_uM"])
    for number, wave in enumerate(found["calcium_uM"]):
        axes.plot(1e3 * found["time_s"], wave, lw=1.1, color=colormaps["viridis"](0.9 * number / max(count - 1, 1)))
    axes.set_xlim(0, 1e3 * found["time_s"][-1])
    axes.set_ylim(bottom=0)
    _small(axes, "Time (ms)", "Cytosol (µM)")


def design(path: Path | str, found: Sequence[Mapping[str, Any]]) -> bool:
    """Wanted and found amplitude and duration of each inverse design, and their errors.

    Parameters
    ----------
    found : ``inverse`` of ``design.json``.

    Returns
    -------
    Whether there was anything to draw.
    """
    found = [entry for entry in found if is_number(entry.get("found_amplitude_uM"))]
    if not found:
        return False
    wanted = np.array([[entry["amplitude_uM"], 1e3 * entry["duration_s"]] for entry in found])
    reached = np.array([[entry["found_amplitude_uM"], 1e3 * entry["found_duration_s"]] for entry in found])
    errors = 100 * np.array([numbers(entry["errors"]) for entry in found])
    with styled():
        figure = new_figure(WIDE_IN, 2.9)
        left, right = figure.subplots(1, 2)
        left.plot(*wanted.T, "o", ms=8, mfc="none", mec=INK, mew=1.1, ls="none", label="wanted")
        left.plot(*reached.T, "o", ms=3.5, color=BLUE, ls="none", label="found")
        left.set(xscale="log", yscale="log")
        for axis in (left.xaxis, left.yaxis):
            axis.set_major_locator(FixedLocator(_MARKS))
            axis.set_major_formatter(StrMethodFormatter("{x:g}"))
            axis.set_minor_locator(NullLocator())
        both = np.concatenate([wanted, reached])
        left.set(xlim=(both[:, 0].min() / 1.3, both[:, 0].max() * 1.3))
        left.set(ylim=(both[:, 1].min() / 1.3, both[:, 1].max() * 1.3))
        _small(left, "Amplitude (µM)", "Duration (ms)", "Wanted waves and what was designed")
        left.legend(fontsize=7.5)
        for goal, colour in zip(INVERSE, (BAND, RULE), strict=True):
            right.fill_between([-100 * goal, 100 * goal], -100 * goal, 100 * goal, color=colour, lw=0, zorder=0)
        right.plot(*errors.T, "o", ms=5, color=BLUE, ls="none")
        reach = 1.1 * max(100 * INVERSE[0], float(np.nanmax(np.abs(errors), initial=0.0)))
        right.set(xlim=(-reach, reach), ylim=(-reach, reach))
        _small(right, "Error of amplitude (%)", "Error of duration (%)", "Errors; shaded: asked, and the goal")
        save_png(figure, path)
    return True
