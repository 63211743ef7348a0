"""Figures of simulated thresholds: the gate, where spikes start, and strength-duration; arrays in, a PNG file out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

from understudy.report.numbers import is_number
from understudy.report.style import (
    BAND,
    BLUE,
    GREEN,
    GREY,
    INK,
    MUTED,
    ORANGE,
    PUBLISHED,
    PURPLE,
    SKY,
    VERMILLION,
    new_figure,
    save_png,
    soft_grid,
    styled,
)
from understudy.tms.compartments import COMPARTMENT_KINDS
from understudy.tms.gate import MEDIAN_V_PER_M, MINIMUM_V_PER_M
from understudy.tms.goals import NAMES

TYPE_COLOURS = {"L23_PC": BLUE, "L4_LBC": ORANGE, "L5_TTPC": GREEN}

# Uniform field, monophasic pulse, 398 directions: minimum, median and maximum in V/m of the five published cells of
# each type. Found in the result files of TMSsim_Aberra2019 (utms_maxH_w1).
PUBLISHED_RANGES = {
    "L23_PC": ((176, 259, 498), (261, 365, 835), (221, 274, 582), (175, 259, 547), (250, 347, 814)),
    "L4_LBC": ((220, 275, 455), (198, 254, 344), (211, 256, 366), (241, 289, 503), (202, 283, 470)),
    "L5_TTPC": ((188, 227, 447), (223, 337, 577), (194, 238, 467), (194, 251, 444), (184, 226, 456)),
}

# Over 15 published cells, found in the same files: thresholds of near-rectangular pulses of 30 and 120 us.
PUBLISHED_SHORT_TO_LONG = (2.11, 2.36)

_WIDE_IN = 7.4


def gate_ranges(path: Path | str, cells: Sequence[tuple[str, str, np.ndarray]]) -> None:
    """Range and median of thresholds over directions of a uniform field: cells of the study beside published ones.

    Parameters
    ----------
    cells : (name, type, thresholds (D,) V/m) of each cell, in the order of types.
    """
    rows: list[tuple[str, tuple[float, float, float], str]] = []
    breaks, titles = [], []
    for kind, words in NAMES.items():
        own = [(name, gate) for name, found, gate in cells if found == kind]
        if not own:
            continue
        breaks.append(len(rows))
        titles.append(words)
        for name, gate in own:
            known = gate[np.isfinite(gate)]
            ends = (known.min(), np.median(known), known.max()) if known.size else (np.nan,) * 3
            rows.append((name, tuple(map(float, ends)), TYPE_COLOURS[kind]))
        rows += [(f"published {n}", ends, PUBLISHED) for n, ends in enumerate(PUBLISHED_RANGES[kind], start=1)]
    with styled():
        figure = new_figure(_WIDE_IN, 0.75 + 0.165 * len(rows) + 0.2 * len(breaks))
        axes = figure.subplots()
        place, y = [], 0.0
        for number in range(len(rows)):
            y += 1.5 if number in breaks and number else 1.0
            place.append(y)
        axes.axvspan(*MINIMUM_V_PER_M, color=BAND, lw=0, zorder=0)
        for y, (name, (low, middle, high), colour) in zip(place, rows, strict=True):
            axes.plot([low, high], [y, y], color=colour, lw=2.2 if colour != PUBLISHED else 1.2, zorder=2)
            axes.plot([middle], [y], marker="|", ms=8, mew=2.0, color=colour, zorder=3)
            axes.text(-0.012, y, name, transform=axes.get_yaxis_transform(), ha="right", va="center", fontsize=7.5)
        for start, words in zip(breaks, titles, strict=True):
            axes.text(
                0.995, place[start] - 0.1, words, transform=axes.get_yaxis_transform(), ha="right", fontsize=8.5,
                weight="bold",
            )  # fmt: skip
        axes.set(xscale="log", xlim=(125, 1000), ylim=(place[-1] + 0.8, place[0] - 1.2))
        axes.xaxis.set_major_locator(FixedLocator([140, 200, 300, 400, 600, 800]))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        for edge in MEDIAN_V_PER_M:
            axes.axvline(edge, color=MUTED, lw=0.8, ls=(0, (4, 3)), zorder=1)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("Threshold over directions of a uniform field (V/m)")
        soft_grid(axes, "x")
        handles = [
            Line2D([], [], color=INK, lw=2.2, marker="|", ms=8, mew=2, label="minimum, median, maximum"),
            Line2D([], [], color=PUBLISHED, lw=1.2, label="published cells"),
            Line2D([], [], color=BAND, lw=7, label="gate: minimum"),
            Line2D([], [], color=MUTED, lw=0.8, ls=(0, (4, 3)), label="gate: median"),
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=8)
        save_png(figure, path)


_SITES = {
    "node": ("nodes of Ranvier", BLUE),
    "unmyelinated": ("unmyelinated axon", SKY),
    "myelin": ("myelin", PURPLE),
    "axon_initial": ("initial segment", ORANGE),
    "soma": ("soma", VERMILLION),
    "apical": ("apical dendrite", GREEN),
    "basal": ("basal dendrite", GREY),
}
NEAR_TERMINAL_um = 100.0
_FARTHEST_um = 3000.0


def initiation_shares(kind: np.ndarray, to_terminal_um: np.ndarray) -> dict[str, float]:
    """Shares of spikes by the kind of compartment they start in, and ``at_terminal``, ``near_terminal``.

    Parameters
    ----------
    kind : (N,) index into `COMPARTMENT_KINDS`; to_terminal_um (N,), infinite where no axon terminal lies behind.
    """
    if not len(kind):
        return {}
    shares = {name: float(np.mean(kind == COMPARTMENT_KINDS.index(name))) for name in _SITES}
    return shares | {
        "at_terminal": float(np.mean(to_terminal_um == 0)),
        "near_terminal": float(np.mean(to_terminal_um <= NEAR_TERMINAL_um)),
    }


def shares_within(to_terminal_um: np.ndarray, farthest_um: float) -> tuple[np.ndarray, np.ndarray]:
    """Ways to a terminal, and the share of spikes that start within each: from nothing at 0 to ``farthest_um``.

    Parameters
    ----------
    to_terminal_um : (N,), infinite where no axon terminal lies behind; N > 0.
    """
    way = np.sort(np.maximum(to_terminal_um, 0.0))
    share = np.arange(1, len(way) + 1) / len(way)
    reached = way <= farthest_um
    last = share[reached].max(initial=0.0)
    return np.concatenate([[0.0], way[reached], [farthest_um]]), np.concatenate([[0.0], share[reached], [last]])


def initiation(path: Path | str, sites: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> None:
    """Kinds of compartments in which action potentials start, and how far from an axon terminal.

    Parameters
    ----------
    sites : type -> kind (N,) and way to the nearest terminal (N,) um, of cases with a threshold.
    """
    kinds = [kind for kind in NAMES if kind in sites and len(sites[kind][0])]
    with styled():
        figure = new_figure(_WIDE_IN, 2.75)
        bars, ways = figure.subplots(1, 2, width_ratios=(1.0, 1.1))
        present: list[str] = []
        for row, kind in enumerate(kinds):
            shares, left = initiation_shares(*sites[kind]), 0.0
            for name, (_, colour) in _SITES.items():
                if shares[name] > 0:
                    bars.barh(row, 100 * shares[name], left=100 * left, color=colour, height=0.6)
                    if shares[name] > 0.08:
                        bars.text(
                            100 * (left + 0.5 * shares[name]), row, f"{100 * shares[name]:.0f}", color="white",
                            ha="center", va="center", fontsize=8, weight="bold",
                        )  # fmt: skip
                    left += shares[name]
                    present.append(name)
        bars.set_yticks(range(len(kinds)), [NAMES[kind] for kind in kinds], fontsize=8)
        bars.set(xlim=(0, 100), ylim=(len(kinds) - 0.4, -0.6))
        bars.set_xlabel("Spikes by site of first crossing (%)", fontsize=8)
        bars.set_title("Kind of compartment", fontsize=9)
        for number, kind in enumerate(kinds):
            reach, share = shares_within(sites[kind][1], _FARTHEST_um)
            # Later lines are thinner, so that equal ones are seen to lie on each other.
            width = 1.2 + 1.3 * (len(kinds) - 1 - number)
            ways.step(reach, 100 * share, where="post", color=TYPE_COLOURS[kind], lw=width, label=NAMES[kind])
        ways.axvline(NEAR_TERMINAL_um, color=MUTED, lw=0.8, ls=(0, (4, 3)))
        ways.set_xscale("symlog", linthresh=10)
        ways.set(xlim=(-1, _FARTHEST_um), ylim=(0, 104))
        ways.xaxis.set_major_locator(FixedLocator([0, 10, 100, 1000]))
        ways.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        ways.xaxis.set_minor_locator(NullLocator())
        ways.set_xlabel("Way to the nearest axon terminal (µm)", fontsize=8)
        ways.set_ylabel("Spikes that start within it (%)", fontsize=8)
        ways.set_title("Distance to a terminal", fontsize=9)
        ways.legend(fontsize=7.5, loc="lower right")
        soft_grid(ways)
        for axes in (bars, ways):
            axes.tick_params(labelsize=7.5)
        handles = [Line2D([], [], color=_SITES[n][1], lw=6, label=_SITES[n][0]) for n in _SITES if n in present]
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles) or 1, fontsize=7.5)
        save_png(figure, path)


def _row(values: Any) -> np.ndarray:
    """Numbers of a results file; NaN where it holds null."""
    return np.array([float(value) if is_number(value) else np.nan for value in values])


def strength_duration(path: Path | str, found: Mapping[str, Any], types: Mapping[str, str]) -> bool:
    """Thresholds of rectangular pulses against their width beside the one-pole prediction, and its residuals.

    Parameters
    ----------
    found : ``cells``, ``width_us``, ``threshold_V_per_m`` and ``predicted_V_per_m`` (cells, widths), ``tau_ms``.
    types : cell -> type.

    Returns
    -------
    Whether there was anything to draw.
    """
    cells = found.get("cells") or []
    if not cells:
        return False
    width = _row(found["width_us"])
    with styled():
        figure = new_figure(_WIDE_IN, 2.9)
        curves, residuals = figure.subplots(1, 2, width_ratios=(1.25, 1.0))
        drawn: set[str] = set()
        spread = 0.035 * np.linspace(-1, 1, len(cells)) if len(cells) > 1 else np.zeros(1)
        for number, cell in enumerate(cells):
            simulated, predicted = (_row(found[key][number]) for key in ("threshold_V_per_m", "predicted_V_per_m"))
            kind = types.get(cell, "")
            colour = TYPE_COLOURS.get(kind, GREY)
            label = NAMES.get(kind, cell) if kind not in drawn else None
            drawn.add(kind)
            curves.plot(width, predicted, color=colour, lw=1.0, alpha=0.7)
            curves.plot(width, simulated, color=colour, marker="o", ms=4, ls="none", label=label)
            shifted = width * (1 + spread[number])
            residuals.plot(shifted, 100 * (predicted / simulated - 1), color=colour, marker="o", ms=4, ls="none")
        for axes in (curves, residuals):
            axes.set_xscale("log")
            axes.set_xlim(0.8 * width.min(), 1.25 * width.max())
            axes.xaxis.set_major_locator(FixedLocator(width.tolist()))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
            axes.set_xlabel("Width of the rectangular pulse (µs)", fontsize=8)
            axes.tick_params(labelsize=7.5)
            soft_grid(axes)
        curves.set_yscale("log")
        curves.yaxis.set_major_locator(FixedLocator([50, 100, 200, 300, 500, 800, 1200, 2000]))
        curves.yaxis.set_minor_locator(NullLocator())
        curves.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        curves.set_ylabel("Threshold (V/m)", fontsize=8)
        curves.set_title("Simulated (points), one pole (lines)", fontsize=9)
        curves.legend(fontsize=7.5)
        residuals.axhline(0, color=MUTED, lw=0.9, zorder=0)
        reach = max(1.0, 1.15 * np.nanmax(np.abs(residuals.get_ylim())))
        residuals.set_ylim(-reach, reach)
        residuals.set_ylabel("One pole less simulated (%)", fontsize=8)
        residuals.set_title("Residuals of the one-pole prediction", fontsize=9)
        save_png(figure, path)
    return True
