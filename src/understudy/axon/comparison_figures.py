"""Figures of the comparisons beside the main study: ways of sampling, sexes, tau criteria. Numbers in, a PNG out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator, NullFormatter, NullLocator

from understudy.axon.figures import number_or_nan, two_lines
from understudy.report.numbers import count
from understudy.report.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    RULE,
    VERMILLION,
    new_figure,
    save_png,
    soft_grid,
    styled,
)

_WIDE_IN = 7.4
# Up to this ratio of its ends a panel's logarithmic axis has room for three labels per decade.
_FEW_DECADES = 100

WAYS = {
    "mixed": ("as in this study: adaptive and k-means", BLUE, "o", "-"),
    "stratified_adaptive": ("stratified adaptive", ORANGE, "s", "-"),
    "random": ("random", INK, "D", "-"),
    "kmeans": ("k-means", GREEN, "^", (0, (5, 2))),
    "active": ("active (spread of the ensemble)", PURPLE, "v", (0, (1.5, 1.2))),
}
SETS = {
    "random": "Random voxels of\nheld-out impacts",
    "worst_case": "Worst case of the\nfirst held-out impact",
    "white_matter": "Every voxel of the\nfirst held-out impact",
}


def sampling_efficiency(
    path: Path | str, ways: Mapping[str, Sequence[Mapping[str, Any]]], labels: Mapping[str, str]
) -> None:
    """NRMSE against the number of training profiles for each way of choosing them, one row per evaluation set.

    Parameters
    ----------
    ways : name -> points ``n`` and, by evaluation set, target -> ``nrmse``; sets that no point has are left out.
    labels : target -> its name for people.
    """
    sets = [name for name in SETS if any(point.get(name) for points in ways.values() for point in points)]
    sizes = sorted({int(point["n"]) for points in ways.values() for point in points})
    with styled():
        figure = new_figure(_WIDE_IN, 0.85 + 1.62 * max(len(sets), 1))
        grid = figure.subplots(max(len(sets), 1), len(labels), squeeze=False, sharex=True)
        for number, (row, name) in enumerate(zip(grid, sets, strict=False)):
            for axes, (target, label) in zip(row, labels.items(), strict=True):
                for way, points in ways.items():
                    words, colour, marker, line = WAYS.get(way, (way, GREY, "o", "-"))
                    values = [100 * number_or_nan(((p.get(name) or {}).get(target) or {}).get("nrmse")) for p in points]
                    axes.plot(
                        [p["n"] for p in points],
                        values,
                        color=colour,
                        marker=marker,
                        ls=line,
                        ms=3.6,
                        lw=1.3,
                        label=words,
                    )
                axes.set(xscale="log", yscale="log")
                axes.xaxis.set_major_locator(FixedLocator(sizes))
                axes.xaxis.set_minor_locator(NullLocator())
                axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
                axes.yaxis.set_major_locator(LogLocator(10, subs=(1, 2, 3, 5, 7)))
                axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
                axes.yaxis.set_minor_formatter(NullFormatter())
                axes.yaxis.set_minor_locator(NullLocator())
                axes.tick_params(labelsize=7)
                axes.tick_params(axis="x", rotation=90)
                soft_grid(axes)
                if number == 0:
                    axes.set_title(two_lines(label), fontsize=8.5)
            row[0].set_ylabel(f"{SETS[name]}\n\nNRMSE (%)", fontsize=7.5)
        figure.supxlabel("Training profiles", fontsize=8.5)
        handles, names = grid[0, 0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper center", ncols=3, fontsize=8, columnspacing=1.5)
        save_png(figure, path)


def sexes_by_tract(path: Path | str, tracts: Sequence[Mapping[str, Any]], labels: Mapping[str, str]) -> None:
    """Distribution over the voxels of each tract, male above female: 5-95 % line, 25-75 % bar, median.

    Parameters
    ----------
    tracts : ``tract``, ``n``, and for ``male`` and ``female`` target -> ``p5``, ``p25``, ``p50``, ``p75``, ``p95``.
    labels : target -> its name for people.
    """
    place = -np.arange(len(tracts), dtype=float)
    looks = (("male", BLUE, 0.19), ("female", ORANGE, -0.19))
    with styled():
        figure = new_figure(_WIDE_IN, 1.15 + 0.26 * len(tracts))
        panels = figure.subplots(1, len(labels), squeeze=False, sharey=True)[0]
        for axes, (target, label) in zip(panels, labels.items(), strict=True):
            for sex, colour, offset in looks:
                quantiles = {
                    key: 100 * np.array([number_or_nan((entry[sex].get(target) or {}).get(key)) for entry in tracts])
                    for key in ("p5", "p25", "p50", "p75", "p95")
                }
                y = place + offset
                axes.hlines(y, quantiles["p5"], quantiles["p95"], color=colour, lw=0.9)
                width = quantiles["p75"] - quantiles["p25"]
                axes.barh(y, width, left=quantiles["p25"], height=0.27, color=colour, alpha=0.75)
                axes.plot(quantiles["p50"], y, "|", color=INK, ms=5.5, mew=1.4)
            for row in place[:-1]:
                axes.axhline(row - 0.5, color=RULE, lw=0.5, zorder=0)
            axes.set_title(two_lines(label, 12), fontsize=8.5)
            axes.tick_params(axis="y", length=0)
            axes.tick_params(labelsize=7.5)
            axes.xaxis.set_major_locator(MaxNLocator(4))
            axes.set_xlim(left=0)
            axes.set_xlabel("Layout mean (%)", fontsize=7.5)
            axes.set_ylim(place.min(initial=0) - 0.6, 0.6)
            axes.spines["left"].set_visible(False)
            soft_grid(axes, "x")
        panels[0].set_yticks(place, [f"{entry['tract']}  ({count(entry['n'])})" for entry in tracts], fontsize=7)
        for sex, colour, _ in looks:
            panels[0].barh([0], [0], color=colour, alpha=0.75, label=f"{sex} axon")
        handles, names = panels[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper center", ncols=2, fontsize=8.5)
        save_png(figure, path)


def criteria_errors(
    path: Path | str,
    criteria: Mapping[str, Mapping[str, Any]],
    parts: Sequence[tuple[str, Sequence[str]]],
    labels: Mapping[str, str],
) -> None:
    """1 - R² of the network under each tau criterion: random held-out profiles filled, worst case open.

    Parameters
    ----------
    criteria : name -> ``targets`` and ``worst_case`` (target -> ``r2``) and ``baselines`` (name -> target -> ``r2``).
    parts : heading of each panel and its targets.
    labels : target -> its name for people.
    """
    with styled():
        figure = new_figure(_WIDE_IN, 2.75)
        panels = figure.subplots(1, len(parts), squeeze=False, sharex=True)[0]
        looks = ((BLUE, "o", 0.14), (VERMILLION, "D", -0.14), (GREEN, "s", 0.0))
        for axes, (title, part) in zip(panels, parts, strict=True):
            rows = np.arange(len(part))[::-1].astype(float)
            for (name, entry), (colour, marker, offset) in zip(criteria.items(), looks, strict=False):
                y = rows + offset

                def unexplained(errors: Mapping[str, Any], part: Sequence[str] = part) -> list[float]:
                    return [1 - number_or_nan((errors.get(target) or {}).get("r2")) for target in part]

                axes.plot(unexplained(entry.get("targets") or {}), y, marker, color=colour, ms=6, lw=0, label=name)
                axes.plot(
                    unexplained(entry.get("worst_case") or {}), y, marker, mfc="white", mec=colour, mew=1.2, ms=5.5,
                    lw=0, label=f"{name}, worst case",
                )  # fmt: skip
                baselines = [unexplained(errors) for errors in (entry.get("baselines") or {}).values()]
                if baselines:
                    axes.plot(
                        np.nanmin(baselines, axis=0), y, "|", color=colour, ms=11, mew=1.6, lw=0,
                        label=f"{name}, best baseline",
                    )  # fmt: skip
            for row in rows[:-1]:
                axes.axhline(row - 0.5, color=RULE, lw=0.6, zorder=0)
            axes.set_title(title, fontsize=9)
            axes.set_yticks(rows, [two_lines(labels[target]) for target in part], fontsize=7.5)
            axes.tick_params(axis="y", length=0)
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.tick_params(axis="x", labelsize=7.5)
            axes.set_xlabel("Unexplained variance, 1 − R²", fontsize=8)
            axes.spines["left"].set_visible(False)
            axes.set_ylim(-0.6, len(part) - 0.4)
            soft_grid(axes, "x")
        # The panels share their axis: what fits its whole width is known when all are drawn.
        low, high = panels[0].get_xlim()
        steps = (1, 2, 5) if high < _FEW_DECADES * low else (1,)
        panels[0].xaxis.set_major_locator(LogLocator(10, subs=steps))
        figure.legend(
            *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8, columnspacing=1.5
        )
        save_png(figure, path)
