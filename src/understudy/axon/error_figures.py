"""Figures of the surrogate's error where the truth is known at every voxel: arrays and numbers in, a PNG file out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.ticker import MaxNLocator

from understudy.axon.figures import number_or_nan, two_lines
from understudy.report.numbers import count, is_number, percent, score
from understudy.report.style import (
    BLUE,
    GREY,
    INK,
    MAP_COLOURS,
    RULE,
    SKY,
    VERMILLION,
    new_figure,
    save_png,
    series_style,
    soft_grid,
    styled,
)

_WIDE_IN = 7.4
_SMALL = 7.5
# Without its palest part, which a single voxel would be lost in.
_DENSITY = ListedColormap(matplotlib.colormaps["YlGnBu"](np.linspace(0.22, 1.0, 256)))


def direct_against_surrogate(
    path: Path | str,
    direct: Mapping[str, np.ndarray],
    surrogate: Mapping[str, np.ndarray],
    errors: Mapping[str, Mapping[str, Any]],
    cells: int = 110,
) -> None:
    """Surrogate against direct simulation, every voxel: density, the identity line, and the errors in words.

    Parameters
    ----------
    direct, surrogate : name for people -> (v,) values of the same voxels, fractions.
    errors : name for people -> ``r2`` and ``nrmse``.
    cells : of the density's grid along each axis.
    """
    with styled():
        figure = new_figure(_WIDE_IN, 2.25)
        panels = figure.subplots(1, len(direct), squeeze=False)[0]
        grids = {}
        for label, truth in direct.items():
            x, y = 100 * np.asarray(truth, dtype=float), 100 * np.asarray(surrogate[label], dtype=float)
            known = np.isfinite(x) & np.isfinite(y)
            top = max(float(x[known].max()), float(y[known].max()), 1e-9) if known.any() else 1.0
            grids[label] = np.histogram2d(x[known], y[known], bins=cells, range=[[0, top], [0, top]])[0], top
        norm = LogNorm(1, max(2.0, max(grid.max() for grid, _ in grids.values())))
        image = None
        for axes, (label, (grid, top)) in zip(panels, grids.items(), strict=True):
            image = axes.imshow(
                np.ma.masked_equal(grid, 0).T, origin="lower", extent=(0, top, 0, top), norm=norm, cmap=_DENSITY
            )
            axes.plot([0, top], [0, top], color=VERMILLION, lw=0.9)
            note = f"R² {score(errors[label].get('r2'))}\nNRMSE {percent(errors[label].get('nrmse'))}"
            axes.text(
                0.04, 0.96, note, transform=axes.transAxes, va="top", fontsize=_SMALL, linespacing=1.35,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5},
            )  # fmt: skip
            axes.set_title(two_lines(label), fontsize=8.5)
            axes.set_xlabel("Direct (%)", fontsize=8)
            axes.tick_params(labelsize=_SMALL)
            for side in (axes.xaxis, axes.yaxis):
                side.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
            soft_grid(axes)
        panels[0].set_ylabel("Surrogate (%)", fontsize=8)
        bar = figure.colorbar(image, ax=list(panels), fraction=0.02, pad=0.01, aspect=16, shrink=0.72)
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize=7, length=2)
        bar.set_label("Voxels", fontsize=8)
        save_png(figure, path, colours=MAP_COLOURS)


def strain_range(entry: Mapping[str, Any]) -> str:
    """A bin of peak strain in per cent."""
    low = f"{100 * entry['low']:g}"
    return f"{low}–{100 * entry['high']:g}" if is_number(entry.get("high")) else f"above {low}"


def error_by_strain(path: Path | str, bins: Sequence[Mapping[str, Any]], labels: Mapping[str, str]) -> None:
    """Response, error and number of voxels against the level of peak fibre strain.

    Parameters
    ----------
    bins : ``low``, ``high`` (None where open), ``n`` and ``targets``: target -> ``mean_direct``, ``mean_surrogate``,
        ``rmse`` and ``bias``, fractions.
    labels : target -> its name for people.
    """
    place = np.arange(len(bins))
    numbers = np.array([entry["n"] for entry in bins], dtype=float)
    with styled():
        figure = new_figure(_WIDE_IN, 4.5)
        grid = figure.subplots(3, len(labels), squeeze=False, sharex=True, height_ratios=(1.25, 1.25, 0.55))
        for column, (target, label) in enumerate(labels.items()):
            values = {
                key: 100 * np.array([number_or_nan((entry["targets"].get(target) or {}).get(key)) for entry in bins])
                for key in ("mean_direct", "mean_surrogate", "rmse", "bias")
            }
            response, error, share = grid[:, column]
            response.plot(place, values["mean_direct"], color=INK, lw=1.4, label="direct")
            response.plot(
                place,
                values["mean_surrogate"],
                "o",
                ms=3.8,
                mfc="white",
                mec=BLUE,
                mew=1.1,
                label="surrogate",
                clip_on=False,
            )
            response.set_title(two_lines(label), fontsize=8.5)
            error.bar(place, values["rmse"], width=0.72, color=SKY, alpha=0.55, label="RMSE")
            error.plot(place, values["bias"], "D", ms=3.2, color=VERMILLION, label="bias (surrogate less direct)")
            error.axhline(0, color=INK, lw=0.7)
            share.bar(place, numbers, width=0.72, color=GREY)
            share.set_yscale("log")
            share.set_ylim(0.7, 3 * max(numbers.max(initial=1), 10))
            share.set_xticks(place, [strain_range(entry) for entry in bins], rotation=90)
            for axes in (response, error, share):
                axes.tick_params(labelsize=_SMALL - 0.5)
                soft_grid(axes, "y")
            for axes in (response, error):
                axes.yaxis.set_major_locator(MaxNLocator(4))
                axes.tick_params(axis="x", length=0)
            response.set_ylim(bottom=0)
        for axes, words in zip(grid[:, 0], ("Mean (%)", "Error (%)", "Voxels"), strict=True):
            axes.set_ylabel(words, fontsize=8)
        figure.align_ylabels(grid[:, 0])
        figure.supxlabel("Peak fibre strain of the voxel (%)", fontsize=8.5)
        handles, names = grid[0, 0].get_legend_handles_labels()
        more, more_names = grid[1, 0].get_legend_handles_labels()
        figure.legend(
            handles + more, names + more_names, loc="outside upper center", ncols=4, fontsize=8, columnspacing=1.6
        )
        save_png(figure, path)


def error_by_tract(path: Path | str, tracts: Sequence[Mapping[str, Any]], labels: Mapping[str, str]) -> None:
    """NRMSE by tract, the largest on top; voxels without streamlines last and in grey; dots show the bias.

    Parameters
    ----------
    tracts : ``tract``, ``n`` and ``targets``: target -> ``nrmse`` and ``bias`` with the whole map's range; an entry
        whose tract begins with "no streamlines" stands apart.
    labels : target -> its name for people.
    """

    def errors(entry: Mapping[str, Any]) -> list[float]:
        return [number_or_nan((entry["targets"].get(target) or {}).get("nrmse")) for target in labels]

    apart = [entry for entry in tracts if entry["tract"].startswith("no streamlines")]
    named = sorted((entry for entry in tracts if entry not in apart), key=lambda entry: -np.nanmean(errors(entry)))
    shown = [*named, *apart]
    place = -np.arange(len(shown), dtype=float)
    place[len(named) :] -= 0.6
    with styled():
        figure = new_figure(_WIDE_IN, 1.0 + 0.155 * len(shown))
        panels = figure.subplots(1, len(labels), squeeze=False, sharey=True)[0]
        colours = [BLUE] * len(named) + [GREY] * len(apart)
        for column, (axes, label) in enumerate(zip(panels, labels.values(), strict=True)):
            values = 100 * np.array([errors(entry)[column] for entry in shown])
            axes.barh(place, values, height=0.7, color=colours, alpha=0.85)
            axes.set_title(two_lines(label, 12), fontsize=8.5)
            axes.tick_params(axis="y", length=0)
            axes.tick_params(labelsize=_SMALL)
            axes.xaxis.set_major_locator(MaxNLocator(4))
            axes.set_xlabel("NRMSE (%)", fontsize=8)
            axes.spines["left"].set_visible(False)
            axes.set_ylim(place.min(initial=0) - 0.6, 0.6)
            soft_grid(axes, "x")
        panels[0].set_yticks(place, [f"{entry['tract']}  ({count(entry['n'])})" for entry in shown], fontsize=7)
        save_png(figure, path)


def unexplained_variance(
    path: Path | str,
    labels: Sequence[str],
    models: Mapping[str, Sequence[float | None]],
    network: str,
    floor: Sequence[float | None],
    titles: Sequence[tuple[str, int]],
) -> None:
    """1 - R² of the network and of the models that it has to beat, on a logarithmic axis; the noise floor as a bar.

    Parameters
    ----------
    labels : (T,) names of the outputs.
    models : name for people -> (T,) R2.
    network : which of the models is the network.
    floor : (T,) R2 of the noise floor.
    titles : heading of each panel and how many of the outputs it shows, in their order.
    """
    with styled():
        tallest = max(number for _, number in titles)
        figure = new_figure(_WIDE_IN, 1.25 + 0.42 * tallest)
        panels = figure.subplots(1, len(titles), squeeze=False, sharex=True)[0]
        others = [name for name in models if name != network]
        looks = {**series_style(others), network: (BLUE, "o")}
        start = 0
        for axes, (title, number) in zip(panels, titles, strict=True):
            rows = np.arange(number)[::-1].astype(float)
            part = slice(start, start + number)
            start += number
            for name, (colour, marker) in looks.items():
                values = [1 - number_or_nan(value) for value in models[name]][part]
                size = 7.5 if name == network else 6
                axes.plot(values, rows, marker, color=colour, ms=size, mec="white", mew=0.7, lw=0, label=name, zorder=3)
            values = [1 - number_or_nan(value) for value in floor][part]
            axes.plot(
                values, rows, "|", color=INK, ms=15, mew=1.8, lw=0, label="noise floor of the simulation", zorder=4
            )
            for row in rows[:-1]:
                axes.axhline(row - 0.5, color=RULE, lw=0.6, zorder=0)
            axes.set_yticks(rows, [two_lines(label) for label in labels[part]], fontsize=8)
            axes.tick_params(axis="y", length=0)
            axes.set_ylim(-0.6, number - 0.4)
            axes.set_xscale("log")
            axes.set_title(title, fontsize=9)
            axes.set_xlabel("Unexplained variance, 1 − R²", fontsize=8.5)
            axes.spines["left"].set_visible(False)
            soft_grid(axes, "x")
        handles, names = panels[0].get_legend_handles_labels()
        order = sorted(range(len(names)), key=lambda k: names[k] != network)
        figure.legend(
            [handles[k] for k in order],
            [names[k] for k in order],
            loc="outside lower center",
            ncols=3,
            columnspacing=1.5,
        )
        save_png(figure, path)
