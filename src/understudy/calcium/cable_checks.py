"""What every engine of cables accepts, and what it says where a concentration is lost."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from understudy.calcium.cable_geometry import Cable
from understudy.calcium.parameters import Parameters
from understudy.errors import InputError

_QUANTITIES = ("cytosolic calcium", "ER calcium", "free calbindin")


def longest_step_s(parameters: Parameters) -> float:
    """Longest step of the Crank-Nicolson scheme: beyond it the binding to calbindin rings instead of relaxing."""
    return 2 / (parameters.binding_per_uM_s * parameters.calbindin_uM + parameters.unbinding_per_s)


def check_positive_step(dt_s: float) -> None:
    """Refuse a step that is no positive number (`InputError`)."""
    if not (math.isfinite(dt_s) and dt_s > 0):
        raise InputError(f"dt_s: found {dt_s:g}, accepted is a positive number")


def check_crank_nicolson_step(dt_s: float, parameters: Parameters, cable: int) -> None:
    """Refuse a step beyond `longest_step_s` (`InputError`)."""
    longest = longest_step_s(parameters)
    if dt_s > longest:
        raise InputError(
            f"dt_s: found {dt_s:g} for cable {cable}, accepted by the scheme 'crank-nicolson' are steps up to "
            f"{longest:.3g} s (calbindin binds within half of that); 'euler' takes any"
        )


def whole_steps(duration_s: float, dt_s: float) -> int:
    """Number of steps in a duration, rounded; `InputError` where it is none."""
    steps = round(duration_s / dt_s)
    if steps < 1:
        raise InputError(f"duration_s: found {duration_s:g}, accepted is at least one step of {dt_s:g} s")
    return steps


def one_for_each(values, count: int, name: str) -> list:
    """``count`` values from one for all or one for each cable; `InputError` for another number."""
    values = list(values) if isinstance(values, Sequence) else [values] * count
    if len(values) != count:
        raise InputError(f"{name}: found {len(values)}, accepted is one for all or one for each of the {count} cables")
    return values


def checked_sites(sites: Sequence[int], n: int) -> np.ndarray:
    """Nodes (S,) int64 of cables of ``n`` nodes; `InputError` for others."""
    sites = np.asarray(sites, dtype=np.int64).reshape(-1)
    if len(sites) and not (sites.min() >= 0 and sites.max() < n):
        raise InputError(f"sites: found {sites.min()} to {sites.max()}, accepted are 0 to {n - 1}")
    return sites


def initial_concentrations(parameters: Sequence[Parameters], n: int, initial_uM: np.ndarray | None) -> np.ndarray:
    """Concentrations (K, N, 3) of u, e and b in uM at the beginning: rest, or what is given, (K, N, 3) or (N, 3).

    Raises
    ------
    InputError : a wrong shape; concentrations that are negative or not finite; no calcium somewhere.
    """
    if initial_uM is None:
        rest = [[own.rest_cytosol_uM, own.rest_er_uM, own.rest_calbindin_uM] for own in parameters]
        return np.repeat(np.array(rest)[:, None], n, axis=1)
    count = len(parameters)
    initial = np.asarray(initial_uM, dtype=float)
    if initial.shape not in ((n, 3), (count, n, 3)):
        raise InputError(f"initial_uM: found the shape {initial.shape}, accepted are {(n, 3)} and {(count, n, 3)}")
    initial = np.broadcast_to(initial, (count, n, 3))
    if not (np.isfinite(initial).all() and (initial >= 0).all()):
        raise InputError("initial_uM: found a negative or non-finite number, accepted are numbers of at least 0")
    if not (initial[:, :, :2] > 0).all():
        raise InputError("initial_uM: found no calcium at some node, accepted are positive numbers for calcium")
    return initial


def node_words(cable: Cable, node: int) -> str:
    """Where a node is, for messages."""
    return f"node {node} (x = {cable.position_um[node]:g} um)"


def bad_concentration(
    quantity: int, value: float, cable: int, place: str, time_s: float, dt_s: float, euler: bool
) -> InputError:
    """The error for a concentration that became negative or is no longer a number.

    Parameters
    ----------
    quantity : 0, 1, 2 for u, e, b.
    place : `node_words` of the node.
    time_s, dt_s : when, and the step.
    euler : whether the scheme was backward Euler, not Crank-Nicolson.
    """
    if euler:
        cause = "parameters or an initial state so extreme that float64 does not hold the step's equations"
    else:
        cause = f"a step of {dt_s:g} s that is too long for Crank-Nicolson here; shorten it or use 'euler'"
    words = f"{value:g}" if math.isfinite(value) else "a number that is not finite"
    return InputError(
        f"{_QUANTITIES[quantity]}: found {words} in cable {cable} at {place}, t = {time_s:g} s; accepted are "
        f"concentrations of at least 0; likely cause: {cause}"
    )
