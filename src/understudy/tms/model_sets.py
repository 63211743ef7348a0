"""The models that the network is compared with, fitted cell by cell, and the tables that their errors make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from understudy.tms.direction_maps import BasisRidge, DirectionMap, UniformPlusGradient
from understudy.tms.field_basis import shares_beyond
from understudy.tms.field_cube import cube_points
from understudy.tms.model_comparison import absolute_relative_error, compare_mape, population_median, summarise
from understudy.tms.published_network import PublishedModel, PublishedSettings, fit_published

NETWORK, PER_CELL, PUBLISHED = "network", "network_per_cell", "published_network"
UNIFORM, GRADIENT, RIDGE = "uniform_map", "uniform_gradient", "ridge"
POLARISATION, BOOSTING = "linear_polarisation", "gradient_boosting"
MODELS = (NETWORK, PER_CELL, PUBLISHED, UNIFORM, GRADIENT, RIDGE, POLARISATION, BOOSTING)
"""In the order of tables and figures."""


@dataclass(frozen=True)
class FieldCases:
    """Cases of one cell as models of the field see them.

    Attributes
    ----------
    threshold : (n,) V/m at the soma.
    coefficients : (n, 26) polynomial of the field over its magnitude at the soma.
    direction : (n, 3) of the field at the soma.
    cube, cube_strength : (n, 3, 9, 9, 9) and (n,), see `understudy.tms.files.SimulatedThresholds`.
    group : (n,) numbers.
    """

    threshold: np.ndarray
    coefficients: np.ndarray
    direction: np.ndarray
    cube: np.ndarray
    cube_strength: np.ndarray
    group: np.ndarray


def fit_field_models(
    training: FieldCases,
    judged: FieldCases,
    direction_map: DirectionMap,
    settings: PublishedSettings,
    generator: np.random.Generator,
    device: str,
) -> tuple[dict[str, np.ndarray], PublishedModel]:
    """Thresholds (n,) V/m of the judged cases by each model of the field, and the published network that was fitted.

    The published network predicts the field at its cube's centre, which for one type of cell is not the soma.
    """
    uniform = direction_map(judged.direction)
    gradient = UniformPlusGradient(direction_map).fit(training.coefficients, training.threshold)
    ridge = BasisRidge().fit(training.coefficients, training.threshold)
    published = fit_published(
        training.cube,
        training.threshold * training.cube_strength,
        generator,
        settings,
        group=training.group,
        device=device,
    )
    predicted = {
        PUBLISHED: published.predict(judged.cube, device) / judged.cube_strength,
        UNIFORM: uniform,
        GRADIENT: gradient.predict(judged.coefficients),
        RIDGE: ridge.predict(judged.coefficients),
    }
    # A regression in V/m may leave the positive numbers; a threshold cannot.
    least = 0.2 * training.threshold.min()
    return {name: np.maximum(values, least) for name, values in predicted.items()}, published


def error_tables(
    truth: np.ndarray,
    models: Mapping[str, np.ndarray],
    kinds: np.ndarray,
    cells: np.ndarray,
    group: np.ndarray,
    names: Sequence[str],
    resamples: int,
    generator: np.random.Generator,
) -> dict[str, Any]:
    """Errors of each model on one set of cases, by type of cell and by cell, with paired intervals against the network.

    Parameters
    ----------
    truth, models : thresholds (N,) in V/m.
    kinds : (N,) names of types; cells (N,) numbers, named by ``names``; group (N,).
    """
    table: dict[str, Any] = {"n": len(truth), "groups": len(np.unique(group)), "all": {}, "types": {}, "cells": {}}

    def summaries(rows: np.ndarray) -> dict[str, Any]:
        return {model: summarise(truth[rows], values[rows]) for model, values in models.items()}

    table["all"] = summaries(np.arange(len(truth)))
    for kind in sorted(set(kinds.tolist())):
        rows = np.flatnonzero(kinds == kind)
        here = {model: values[rows] for model, values in models.items()}
        table["types"][kind] = {
            "n": len(rows),
            "models": summaries(rows),
            "paired": {
                reference: compare_mape(truth[rows], here, reference, group[rows], resamples, generator)
                for reference in (NETWORK, PER_CELL, PUBLISHED)
                if reference in here
            },
        }
    for cell in np.unique(cells):
        rows = np.flatnonzero(cells == cell)
        table["cells"][names[cell]] = {
            model: float(absolute_relative_error(truth[rows], values[rows]).mean()) for model, values in models.items()
        }
    return table


def population_tables(
    truth: np.ndarray,
    models: Mapping[str, np.ndarray],
    strength: np.ndarray,
    kinds: np.ndarray,
    placement: np.ndarray,
    vertex: np.ndarray,
    least: int,
) -> dict[str, Any]:
    """Errors of the median threshold (A/us) over clones and azimuths of one type at one position.

    Parameters
    ----------
    strength : (N,) field at the soma in V/m for 1 A/us, which turns a threshold in V/m into one in A/us.
    least : positions with fewer cases make no population.
    """
    tables = {}
    for kind in sorted(set(kinds.tolist())):
        rows = np.flatnonzero(kinds == kind)
        _, index, count = np.unique(
            np.stack([placement[rows], vertex[rows]], axis=1), axis=0, return_inverse=True, return_counts=True
        )
        rows = rows[count[index.reshape(-1)] >= least]
        if not len(rows):
            continue
        keys = (placement[rows], vertex[rows])
        _, true_median = population_median(truth[rows] / strength[rows], keys)
        tables[kind] = {
            "positions": len(true_median),
            "models": {
                model: summarise(true_median, population_median(values[rows] / strength[rows], keys)[1])
                for model, values in models.items()
            },
        }
    return tables


def field_shares(cell_type: str, cube: np.ndarray) -> dict[str, float]:
    """Median shares of the mean square of fields (cubes (n, 3, 9, 9, 9)) beyond uniform, linear and second order."""
    points = 1e-3 * cube_points(cell_type)
    field = cube.reshape(len(cube), 3, -1).transpose(0, 2, 1)
    shares = shares_beyond(points - points.mean(axis=0), field)
    return {
        "beyond_uniform": float(np.median(shares.uniform)),
        "beyond_linear": float(np.median(shares.linear)),
        "beyond_second_order": float(np.median(shares.second_order)),
    }
