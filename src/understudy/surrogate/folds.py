"""Who trains, who stops and who is tested: splits of cases by number or by group."""

from __future__ import annotations

import numpy as np

from understudy.errors import InputError


def random_folds(n: int, folds: int, generator: np.random.Generator) -> np.ndarray:
    """Fold number (n,) of each case, sizes equal to within one, groups ignored (as published; neighbours leak)."""
    if folds > n:
        raise InputError(f"surrogate.cross_validation.folds: found {folds}, accepted is at most the {n} training cases")
    fold = np.empty(n, dtype=np.int64)
    fold[generator.permutation(n)] = np.arange(n) % folds
    return fold


def grouped_folds(group: np.ndarray, folds: int, generator: np.random.Generator) -> np.ndarray:
    """Fold number (n,) of each case; no group lies in two folds.

    Groups go, largest first and in random order among equals, to the fold with the fewest cases so far.

    Raises
    ------
    InputError
        If there are more folds than groups.
    """
    names, sizes = np.unique(group, return_counts=True)
    if folds > len(names):
        raise InputError(
            f"surrogate.cross_validation.folds: found {folds}, accepted is at most {len(names)}, the number of groups "
            "with successful training cases"
        )
    order = generator.permutation(len(names))
    order = order[np.argsort(-sizes[order], kind="stable")]
    load = np.zeros(folds, dtype=np.int64)
    fold_of = np.empty(len(names), dtype=np.int64)
    for index in order:
        fold_of[index] = np.argmin(load)
        load[fold_of[index]] += sizes[index]
    return fold_of[np.searchsorted(names, group)]


def early_stopping_cases(group: np.ndarray, fraction: float, generator: np.random.Generator) -> np.ndarray:
    """Mask (n,) of the cases that decide when to stop: whole groups, ``fraction`` of them and at least one.

    Raises
    ------
    InputError
        If there is only one group, so that none is left to fit.
    """
    names = np.unique(group)
    if len(names) < 2:
        raise InputError(f"training groups: found {len(names)} with successful cases, accepted is at least 2")
    count = min(max(1, round(fraction * len(names))), len(names) - 1)
    return np.isin(group, generator.permutation(names)[:count])


def nested_subsets(n: int, sizes: tuple[int, ...], generator: np.random.Generator) -> dict[int, np.ndarray]:
    """Size -> ascending rows; each subset contains the smaller ones. Sizes above n are left out."""
    order = generator.permutation(n)
    return {size: np.sort(order[:size]) for size in sizes if size <= n}
