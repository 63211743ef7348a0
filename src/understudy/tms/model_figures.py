"""Figures that compare models of thresholds by type of cell: errors of single cells and of populations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

from understudy.report.numbers import is_number
from understudy.report.style import GREY, INK, MUTED, NETWORK, PUBLISHED, new_figure, save_png, soft_grid, styled
from understudy.report.wording import inside
from understudy.tms.goals import LEAST_UNIFORM_MAPE, NAMES, PER_CELL_MAPE

MODELS = {
    "network": "One network for all cells",
    "network_per_cell": "The same, one per cell",
    "published_network": "Published CNN, one per cell",
    "gradient_boosting": "Boosted trees on terminals",
    "linear_polarisation": "Linear polarisation",
    "ridge": "Ridge on the field basis",
    "uniform_gradient": "Uniform + gradient",
    "uniform_map": "Uniform direction map",
}
"""Models for people, in the order of tables and figures."""

_WIDE_IN = 7.4


def _colour(model: str) -> str:
    if model.startswith("network"):
        return NETWORK
    return PUBLISHED if model == "published_network" else GREY


def _per_cent_axis(axes: Axes, values: Sequence[float]) -> None:
    """A logarithmic axis of per cents with plain numbers."""
    known = [value for value in values if np.isfinite(value) and value > 0] or [1.0, 10.0]
    low, high = 0.75 * min(known), 1.35 * max(known)
    marks = [0.2, 0.5, 1, 2, 5, 10, 20, 50, 100]
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(FixedLocator([mark for mark in marks if low <= mark <= high]))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_locator(NullLocator())


def _dots(
    path: Path | str,
    errors: Mapping[str, Mapping[str, tuple[float, float]]],
    names: tuple[str, str],
    goal: float | None,
    band: float | None,
) -> None:
    """Two errors (fractions) of each model, one panel for each type: filled, and open where the second is known."""
    kinds = [kind for kind in NAMES if errors.get(kind)]
    models = [model for model in MODELS if any(model in errors[kind] for kind in kinds)]
    every = [100 * value for kind in kinds for pair in errors[kind].values() for value in pair]
    with styled():
        figure = new_figure(_WIDE_IN, 0.95 + 0.235 * len(models))
        panels = figure.subplots(1, len(kinds), sharex=True, sharey=True, squeeze=False)[0]
        for axes, kind in zip(panels, kinds, strict=True):
            for y, model in enumerate(models):
                first, second = errors[kind].get(model, (np.nan, np.nan))
                colour = _colour(model)
                if np.isfinite(first) and np.isfinite(second):
                    axes.plot([100 * first, 100 * second], [y, y], color=colour, lw=1.0, alpha=0.5, zorder=2)
                axes.plot([100 * second], [y], "o", ms=5.5, mfc="white", mec=colour, mew=1.3, zorder=3)
                axes.plot([100 * first], [y], "o", ms=5.5, color=colour, zorder=4)
            if goal is not None:
                axes.axvline(100 * goal, color=PUBLISHED, lw=1.0, ls=(0, (4, 3)), zorder=1)
            if band is not None:
                axes.axvline(100 * band, color=MUTED, lw=0.8, ls=(0, (1, 2)), zorder=1)
            axes.set_title(NAMES[kind], fontsize=9)
            axes.set_xlabel("MAPE (%)", fontsize=8)
            _per_cent_axis(axes, every)
            axes.tick_params(labelsize=7.5)
            soft_grid(axes, "x")
        panels[0].set_yticks(range(len(models)), [MODELS[model] for model in models], fontsize=8)
        panels[0].set_ylim(len(models) - 0.4, -0.6)
        handles = [
            Line2D([], [], marker="o", ms=5.5, ls="none", color=INK, label=names[0]),
            Line2D([], [], marker="o", ms=5.5, ls="none", mfc="white", mec=INK, mew=1.3, label=names[1]),
        ]
        if goal is not None:
            handles.append(Line2D([], [], color=PUBLISHED, lw=1, ls=(0, (4, 3)), label="published, each type: below"))
        if band is not None:
            words = f"least for the uniform map ({100 * band:g} %)"
            handles.append(Line2D([], [], color=MUTED, lw=0.8, ls=(0, (1, 2)), label=words))
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=7.5)
        save_png(figure, path)


def _mape(found: Any) -> float:
    value = inside(found, "mape")
    return float(value) if is_number(value) else float("nan")


def compared_models(path: Path | str, comparison: Mapping[str, Any]) -> bool:
    """MAPE of every model by type of cell: held-out patches of the same head (filled), second head (open).

    Returns
    -------
    Whether there was anything to draw.
    """
    sets = comparison.get("sets") or {}
    errors = {}
    for kind in NAMES:
        near, far = (inside(sets, name, "types", kind, "models") or {} for name in ("random", "second_head"))
        models = {model: (_mape(near.get(model)), _mape(far.get(model))) for model in MODELS if model in near}
        errors[kind] = models
    if not any(errors.values()):
        return False
    _dots(path, errors, ("held-out patches and placements", "second head"), PER_CELL_MAPE[0], LEAST_UNIFORM_MAPE)
    return True


def population(path: Path | str, comparison: Mapping[str, Any]) -> bool:
    """MAPE of the median over clones and azimuths of one position (filled) beside that of single cells (open).

    Returns
    -------
    Whether there was anything to draw.
    """
    found = inside(comparison, "sets", "random") or {}
    errors = {}
    for kind in NAMES:
        medians = inside(found, "population", kind, "models") or {}
        single = inside(found, "types", kind, "models") or {}
        errors[kind] = {m: (_mape(medians.get(m)), _mape(single.get(m))) for m in MODELS if m in medians}
    if not any(errors.values()):
        return False
    _dots(path, errors, ("median of the population", "single cells"), None, None)
    return True
