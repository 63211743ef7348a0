"""Figures of the axonal injury study's model and data, and the names of its outputs: arrays in, a PNG file out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from understudy.report.numbers import is_number
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
# Where there is little room: tables, and headings of narrow panels.
NAMES = {
    "microtubule_strain": "Microtubule strain",
    "axolemma_strain": "Axolemma strain",
    "tau_failed": "Tau links failed",
    "neurofilament_failed": "Side-arms failed",
}
GROUPS = (
    ("Reference gap layout (as published)", "", True),
    ("Mean over gap layouts", "_mean", True),
    ("Spread over gap layouts (standard deviation)", "_spread", False),
)

_WIDTH_IN = 6.6
_WIDE_IN = 7.4


def target_labels() -> dict[str, str]:
    """Names of all twelve targets for people."""
    return {f"{name}{ending}": label for name, label in LABELS.items() for _, ending, _ in GROUPS}


def target_groups() -> list[dict]:
    """How the report groups the targets."""
    return [
        {"title": title, "targets": [f"{name}{ending}" for name in LABELS], "headline": headline}
        for title, ending, headline in GROUPS
    ]


_ROLE_LOOKS = (("training", GREY, 0.8, 0.45), ("calibration", BLUE, 1.0, 0.7), ("heldout", VERMILLION, 1.5, 0.95))
_ROLE_WORDS = {"training": "training", "calibration": "calibration", "heldout": "held out"}


def two_lines(label: str, longest: int = 18) -> str:
    """A name for a narrow panel: broken in the middle where it is longer."""
    words = label.split()
    if len(label) <= longest or len(words) < 2:
        return label
    middle = min(range(1, len(words)), key=lambda n: abs(len(" ".join(words[:n])) - len(" ".join(words[n:]))))
    return f"{' '.join(words[:middle])}\n{' '.join(words[middle:])}"


def number_or_nan(value: Any) -> float:
    """A number of a results file; NaN where it holds null."""
    return float(value) if is_number(value) else float("nan")


def _small(axes: Axes, title: str, below: str) -> None:
    """The look of one of several panels in a row."""
    axes.set_title(title, fontsize=8.5)
    axes.set_xlabel(below, fontsize=8)
    axes.tick_params(labelsize=7.5)
    soft_grid(axes)


def pulses(path: Path | str, time_ms: np.ndarray, angular_velocity: np.ndarray, roles: Sequence[str]) -> None:
    """Angular velocity of all impacts about the three axes of the head.

    Parameters
    ----------
    time_ms : (t,).
    angular_velocity : (impact, t, 3) rad/s about x (right), y (anterior), z (superior).
    roles : (impact,) ``training``, ``calibration`` or ``heldout``.
    """
    names = ("Nodding (about left–right)", "Tilting (about front–back)", "Turning (about top–bottom)")
    with styled():
        figure = new_figure(_WIDE_IN, 2.35)
        panels = figure.subplots(1, 3, sharex=True, sharey=True)
        for component, (axes, name) in enumerate(zip(panels, names, strict=True)):
            for role, colour, width, alpha in _ROLE_LOOKS:
                for impact in [number for number, found in enumerate(roles) if found == role]:
                    axes.plot(time_ms, angular_velocity[impact, :, component], color=colour, lw=width, alpha=alpha)
                axes.plot([], [], color=colour, lw=2, label=f"{_ROLE_WORDS[role]} ({list(roles).count(role)})")
            axes.axhline(0, color=RULE, lw=0.8, zorder=0)
            axes.margins(x=0)
            _small(axes, name, "Time (ms)")
        panels[0].set_ylabel("Angular velocity (rad/s)", fontsize=8)
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)
        save_png(figure, path)


def histories(path: Path | str, time_ms: np.ndarray, strain: np.ndarray, labels: Sequence[str]) -> None:
    """Example fibre-strain histories.

    Parameters
    ----------
    time_ms : (t,).
    strain : (n, t) engineering strain along the fibre, fractions.
    labels : (n,) the set that each belongs to; one panel per set.
    """
    kinds = list(dict.fromkeys(labels))
    with styled():
        figure = new_figure(_WIDE_IN, 2.05)
        panels = figure.subplots(1, len(kinds), sharex=True, sharey=True, squeeze=False)[0]
        for axes, kind in zip(panels, kinds, strict=True):
            axes.axhline(0, color=MUTED, lw=0.8, zorder=0)
            for history, colour in zip(strain[np.array(labels) == kind], cycle(CYCLE), strict=False):
                axes.plot(time_ms, 100 * history, color=colour, lw=1.3)
            axes.margins(x=0)
            _small(axes, f"{kind[:1].upper()}{kind[1:]}", "Time (ms)")
        panels[0].set_ylabel("Fibre strain (%)", fontsize=8)
        save_png(figure, path)


def spread_share(mean: np.ndarray, spread: np.ndarray) -> float | None:
    """Median of spread over mean (N,), over means above a hundredth of the largest; None where there are none."""
    counted = mean > 0.01 * mean.max() if mean.max() > 0 else np.zeros(len(mean), bool)
    return float(np.median(spread[counted] / mean[counted])) if counted.any() else None


def layout_spread(path: Path | str, mean: np.ndarray, spread: np.ndarray, labels: Sequence[str]) -> None:
    """What the random gap layout alone changes: standard deviation over layouts against their mean.

    Parameters
    ----------
    mean, spread : (N, outputs) over the common set of layouts, fractions.
    labels : names of the outputs.
    """
    with styled():
        figure = new_figure(_WIDE_IN, 2.2)
        panels = figure.subplots(1, len(labels), squeeze=False)[0]
        for column, (axes, label) in enumerate(zip(panels, labels, strict=True)):
            x, y = 100 * mean[:, column], 100 * spread[:, column]
            axes.scatter(x, y, s=3, color=BLUE, alpha=0.25, lw=0)
            share = spread_share(x, y)
            if share is not None:
                right = max(float(x.max()), 1e-12)
                axes.plot([0, right], [0, share * right], color=INK, lw=1.0, ls=(0, (4, 3)))
                note = f"median {100 * share:.0f} % of the mean"
                axes.text(0.04, 0.97, note, transform=axes.transAxes, va="top", fontsize=7.5)
            _small(axes, two_lines(label), "Mean over layouts (%)")
            axes.set_ylim(0, 1.25 * max(float(y.max()), 1e-12))
            axes.set_xlim(left=0)
            for side in (axes.xaxis, axes.yaxis):
                side.set_major_locator(MaxNLocator(4))
        panels[0].set_ylabel("Spread over layouts (%)", fontsize=8)
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
        figure = new_figure(_WIDE_IN, 2.3)
        panels = figure.subplots(1, len(labels), squeeze=False, sharex=True)[0]
        for column, (axes, label) in enumerate(zip(panels, labels, strict=True)):
            for (name, values), (colour, marker, line) in zip(outputs.items(), looks, strict=False):
                axes.plot(rate_per_s, 100 * values[:, column], color=colour, marker=marker, ms=3.6, ls=line, label=name)
            largest = max(float(values[:, column].max()) for values in outputs.values())
            axes.set_ylim(0, 115 * max(largest, 1e-6))
            axes.set_xscale("log")
            _small(axes, two_lines(label), "Strain rate (1/s)")
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
            axes.yaxis.set_major_locator(MaxNLocator(5))
        panels[0].set_ylabel(f"Output (%) at {100 * peak_strain:g} % peak strain", fontsize=8)
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)
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
