"""Figures that every study's surrogate is judged by. Arrays in, figure out; call inside `style.styled`.

Each function draws one small figure, so that a page can set them side by side or below one another.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullFormatter, NullLocator

from understudy.report.numbers import count, span
from understudy.report.style import (
    BAND,
    BLUE,
    GREEN,
    GREY,
    INK,
    MUTED,
    NETWORK,
    PUBLISHED,
    PURPLE,
    RULE,
    SKY,
    VERMILLION,
    new_figure,
    series_style,
    soft_grid,
)

SMALL_IN = 3.42
WIDE_IN = 4.7
# Least width of an axis of R2, so that folds that are all but perfect do not become an axis of nothing.
_LEAST_R2_SPAN = 1e-3
# Looks of the evaluation sets that are not judged.
_OTHER_SETS = ((VERMILLION, "D"), (GREEN, "^"), (PURPLE, "s"))


def _wrapped(labels: Sequence[str], width: int = 17) -> list[str]:
    return [textwrap.fill(label, width) for label in labels]


def _axis(text: str, unit: str) -> str:
    return text if unit in ("", "–") else f"{text} ({unit})"


def _rows(figure_height_in: float, labels: Sequence[str]) -> tuple[Figure, Axes, np.ndarray]:
    """A figure with one horizontal row per label, the first on top."""
    figure = new_figure(WIDE_IN, figure_height_in)
    axes = figure.add_subplot()
    rows = np.arange(len(labels))[::-1].astype(float)
    axes.set_yticks(rows, _wrapped(labels))
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(-0.6, len(labels) - 0.4)
    for row in rows[:-1]:
        axes.axhline(row - 0.5, color=RULE, lw=0.6, zorder=0)
    axes.spines["left"].set_visible(False)
    soft_grid(axes, "x")
    return figure, axes, rows


def _panel(height_in: float) -> tuple[Figure, Axes]:
    """A small figure whose axes lie at the same place in every figure of a row, however wide the tick labels are."""
    figure = new_figure(SMALL_IN, height_in)
    figure.set_layout_engine("none")
    # Six digits with a sign fit between the left edge and the axes, beside the label.
    left, right, bottom, top = 0.78, 0.1, 0.52, 0.36
    width, height = SMALL_IN - left - right, height_in - bottom - top
    axes = figure.add_axes((left / SMALL_IN, bottom / height_in, width / SMALL_IN, height / height_in))
    axes.tick_params(labelsize=8.5)
    return figure, axes


def _legend_below(figure: Figure, axes: Axes, columns: int) -> None:
    found = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    # The network leads every key, whatever was drawn first.
    labels = sorted(found, key=lambda label: label != "network")
    handles = [found[label] for label in labels]
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, columnspacing=1.4, handlelength=1.3)


def predicted_against_true(
    truth: np.ndarray, predicted: np.ndarray, worst: np.ndarray, label: str, unit: str, note: str
) -> Figure:
    """Predicted against simulated values of one target with the identity line.

    Parameters
    ----------
    truth, predicted : (N,) simulated and predicted values.
    worst : (N,) bool, cases of the sets that were chosen to be hard.
    label, unit, note : the target, its unit, and the error measures in words.
    """
    figure, axes = _panel(SMALL_IN + 0.2)
    values = np.concatenate([truth, predicted])
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    # A constant output has a width too: that of its own size.
    margin = 0.05 * (high - low or abs(high) or 1.0)
    limits = (low - margin, high + margin)
    axes.plot(limits, limits, color=INK, lw=0.9, zorder=3)
    axes.scatter(truth[~worst], predicted[~worst], s=9, color=BLUE, alpha=0.35, lw=0, rasterized=True, zorder=2)
    axes.scatter(
        truth[worst], predicted[worst], s=17, facecolor="none", edgecolor=VERMILLION, lw=0.9, rasterized=True, zorder=4
    )
    axes.set(xlim=limits, ylim=limits, aspect="equal", title=label)
    axes.set_xlabel(_axis("Simulated", unit))
    axes.set_ylabel(_axis("Predicted", unit))
    for side in (axes.xaxis, axes.yaxis):
        side.set_major_locator(MaxNLocator(4))
    soft_grid(axes)
    axes.text(0.04, 0.96, note, transform=axes.transAxes, va="top", fontsize=9, linespacing=1.35, color=INK, zorder=5)
    return figure


def error_levels(
    labels: Sequence[str],
    network: Sequence[float],
    baselines: Mapping[str, Sequence[float]],
    floor: Sequence[float],
    published: Sequence[tuple[float, float] | None],
) -> Figure:
    """NRMSE of network, baselines, noise floor and published range; fractions in, per cent drawn."""
    figure, axes, rows = _rows(1.35 + 0.55 * len(labels), labels)
    shown = [value for value in published if value is not None]
    for row, value in zip(rows, published, strict=True):
        if value is not None:
            low, high = (100 * v for v in value)
            axes.fill_betweenx([row - 0.3, row + 0.3], low, high, color=PUBLISHED, alpha=0.16, lw=0, zorder=1)
            axes.plot([low, low], [row - 0.3, row + 0.3], color=PUBLISHED, lw=1.0, zorder=1)
            axes.plot([high, high], [row - 0.3, row + 0.3], color=PUBLISHED, lw=1.0, zorder=1)
    if shown:
        axes.fill_between([], [], color=PUBLISHED, alpha=0.3, lw=0, label="published range")
    for name, (colour, marker) in series_style(list(baselines)).items():
        axes.plot(
            100 * np.asarray(baselines[name]), rows, marker, color=colour, ms=6, alpha=0.95, label=name, zorder=3, lw=0
        )
    axes.plot(100 * np.asarray(network), rows, "o", color=NETWORK, ms=8.5, label="network", zorder=4, lw=0)
    axes.plot(
        100 * np.asarray(floor),
        rows,
        "|",
        color=INK,
        ms=17,
        mew=2,
        label="noise floor of the simulation",
        zorder=5,
        lw=0,
    )
    axes.set_xlim(left=0)
    axes.set_xlabel("NRMSE (% of the range of the simulation)")
    _legend_below(figure, axes, 2)
    return figure


def paired_differences(
    labels: Sequence[str], differences: Mapping[str, Sequence[tuple[float, float, float]]]
) -> Figure:
    """NRMSE of the network less each baseline's, with intervals over groups: left of zero the network is better."""
    figure, axes, rows = _rows(1.35 + 0.62 * len(labels), labels)
    styles = series_style(list(differences))
    offsets = np.linspace(0.24, -0.24, max(len(styles), 2))[: len(styles)]
    for offset, (name, (colour, marker)) in zip(offsets, styles.items(), strict=True):
        value, low, high = 100 * np.asarray(differences[name], dtype=float).T
        y = rows + offset
        axes.hlines(y, low, high, color=colour, lw=2.2, zorder=2)
        axes.plot(value, y, marker, color=colour, mec="white", mew=0.8, ms=7, label=name, zorder=3, lw=0)
    axes.axvline(0, color=INK, lw=1.0, zorder=1)
    low, high = axes.get_xlim()
    reach = max(abs(low), abs(high))
    axes.set_xlim(-reach, reach)
    axes.set_xlabel("NRMSE, network less baseline (% of range)")
    axes.text(0.0, 1.015, "◀ network better", transform=axes.transAxes, color=MUTED, fontsize=9, ha="left")
    axes.text(1.0, 1.015, "baseline better ▶", transform=axes.transAxes, color=MUTED, fontsize=9, ha="right")
    _legend_below(figure, axes, 2)
    return figure


def fold_scores(labels: Sequence[str], folds: Mapping[str, np.ndarray], floor: float = -0.25) -> Figure:
    """R2 of every fold, random and grouped.

    Parameters
    ----------
    folds : kind -> (F, T) R2 per fold and target; values below ``floor`` are drawn there as triangles.
    """
    figure, axes, rows = _rows(1.35 + 0.62 * len(labels), labels)
    looks = {"random": (GREY, "o", 0.16), "grouped": (BLUE, "D", -0.16)}
    below, lowest = False, 1.0
    for kind, scores in folds.items():
        colour, marker, offset = looks[kind]
        for column, row in enumerate(rows):
            values = scores[:, column]
            values = values[np.isfinite(values)]
            inside = values[values >= floor]
            below |= inside.size < values.size
            lowest = min(lowest, inside.min(initial=1.0), floor if inside.size < values.size else 1.0)
            axes.plot(inside, np.full(inside.size, row + offset), marker, color=colour, ms=4.5, alpha=0.55, mew=0)
            axes.plot(
                [floor] * (values.size - inside.size),
                [row + offset] * (values.size - inside.size),
                "<",
                color=colour,
                ms=6,
            )
            if values.size:
                middle = max(float(np.median(values)), floor)
                axes.plot([middle, middle], [row + offset - 0.14, row + offset + 0.14], color=colour, lw=2.4)
        axes.plot([], [], marker, color=colour, ms=5.5, lw=0, label=f"{kind} folds (bar: median)")
    width = max(1.0 - lowest, _LEAST_R2_SPAN)
    # No R2 is above one: the margin has room for the marks, and for no tick.
    axes.set_xlim(1.0 - 1.05 * width, 1.0 + 0.03 * width)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.ticklabel_format(axis="x", useOffset=False)
    axes.set_xlabel("R² within the fold" + (f"   (◀ below {floor:g})" if below else ""))
    _legend_below(figure, axes, 2)
    return figure


def learning_curve(
    label: str,
    network: Sequence[tuple[int, float]],
    baselines: Mapping[str, Sequence[tuple[int, float]]],
    published: tuple[int, float] | None,
    lowest: float = 0.0,
) -> Figure:
    """R2 on held-out data against the number of training cases, network and baselines, with the published point."""
    figure, axes = _panel(SMALL_IN - 0.35)
    for name, (colour, marker) in series_style(list(baselines)).items():
        if baselines[name]:
            n, r2 = zip(*baselines[name], strict=True)
            axes.plot(n, r2, marker=marker, color=colour, lw=1.3, ms=4.5, label=name)
    n, r2 = zip(*network, strict=True)
    axes.plot(n, r2, marker="o", color=NETWORK, lw=2.2, ms=5.5, label="network", zorder=4)
    sizes = sorted(set(n))
    drawn = [value for _, value in network] + [value for points in baselines.values() for _, value in points]
    if published is not None:
        axes.plot(*published, marker="*", color=PUBLISHED, ms=12, lw=0, label="published", zorder=5)
        drawn.append(published[1])
        sizes = sorted({*sizes, published[0]})
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(_spaced(sizes)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: count(value))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlim(sizes[0] / 1.25, sizes[-1] * 1.25)
    # Ticks are 0.02 or more apart here: none is above one.
    axes.set_ylim(max(lowest, min(drawn) - 0.06), 1.015)
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.set(title=label, xlabel="Training cases", ylabel="R² on held-out data")
    soft_grid(axes)
    return figure


def _spaced(sizes: Sequence[int], ratio: float = 1.9) -> list[int]:
    """Sizes far enough apart on a logarithmic axis for their labels, the largest always among them."""
    kept = [sizes[-1]]
    for size in reversed(sizes[:-1]):
        if kept[-1] / size >= ratio:
            kept.append(size)
    return kept[::-1]


def learning_curve_key(baselines: Sequence[str], published: bool) -> Figure:
    """The key to a row of learning curves."""
    figure = new_figure(WIDE_IN, 0.5 if len(baselines) < 3 else 0.62)
    axes = figure.add_subplot()
    axes.axis("off")
    axes.plot([], [], marker="o", color=NETWORK, lw=2.2, label="network")
    for name, (colour, marker) in series_style(baselines).items():
        axes.plot([], [], marker=marker, color=colour, lw=1.3, label=name)
    if published:
        axes.plot([], [], marker="*", color=PUBLISHED, ms=11, lw=0, label="published point")
    axes.legend(loc="center", ncols=3, columnspacing=1.4)
    return figure


def interval_coverage(
    labels: Sequence[str],
    judged: Sequence[tuple[float, float, float]],
    others: Mapping[str, Sequence[float]],
    nominal: float,
    tolerance: float,
) -> Figure:
    """Observed coverage of the intervals by target, with its bootstrap interval, against the nominal one.

    Parameters
    ----------
    judged : (coverage, low, high) on the set on which coverage is judged.
    others : name of another evaluation set -> coverage by target, not judged.
    nominal, tolerance : nominal coverage and the half width of the accepted band.
    """
    figure, axes, rows = _rows(1.35 + 0.5 * len(labels), labels)
    axes.axvspan(100 * (nominal - tolerance), 100 * (nominal + tolerance), color=BAND, zorder=0)
    axes.axvline(100 * nominal, color=INK, lw=1.0, ls=(0, (4, 3)), zorder=1)
    value, low, high = 100 * np.asarray(judged, dtype=float).T
    axes.hlines(rows, low, high, color=NETWORK, lw=2.4, zorder=2)
    axes.plot(
        value, rows, "o", color=NETWORK, ms=7.5, mec="white", mew=0.8, lw=0, label="random held-out cases", zorder=3
    )
    for number, (name, coverage) in enumerate(others.items()):
        colour, marker = _OTHER_SETS[number % len(_OTHER_SETS)]
        axes.plot(
            100 * np.asarray(coverage),
            rows,
            marker,
            # Open, because the judged value may lie below.
            mfc="none",
            mec=colour,
            mew=1.2,
            ms=6,
            lw=0,
            label=f"{name} (not judged)",
            zorder=4,
        )
    drawn = np.concatenate([low, value, [100 * np.min(list(others.values()), initial=1.0)]])
    left = np.nanmin(drawn)
    axes.set_xlim(max(0.0, 5 * np.floor(left / 5) - 2), 101.5)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.set_xlabel(f"Cases inside their {100 * nominal:.0f} % interval (%)")
    _legend_below(figure, axes, 2)
    return figure


def coverage_by_group(
    labels: Sequence[str], coverage: np.ndarray, sizes: Sequence[int], nominal: float, tolerance: float
) -> Figure:
    """Coverage within each held-out group: (G, T) fractions; ``sizes`` are the groups' numbers of cases."""
    figure, axes, rows = _rows(1.35 + 0.5 * len(labels), labels)
    axes.axvspan(100 * (nominal - tolerance), 100 * (nominal + tolerance), color=BAND, zorder=0)
    axes.axvline(100 * nominal, color=INK, lw=1.0, ls=(0, (4, 3)), zorder=1)
    for column, row in enumerate(rows):
        values = 100 * coverage[:, column]
        axes.plot([values.min(), values.max()], [row, row], color=RULE, lw=2.0, zorder=1)
        axes.scatter(values, np.full(values.size, row), s=34, facecolor=SKY, edgecolor="white", lw=0.8, zorder=3)
    axes.set_xlim(max(0.0, 5 * np.floor(100 * np.nanmin(coverage) / 5) - 2), 101.5)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.set_xlabel(f"Coverage in one group of {span([min(sizes), max(sizes)], count)} cases (%)")
    return figure
