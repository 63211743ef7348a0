"""Thresholds, resting states and traces by NEURON: reference for the batched engine and yardstick of its speed.

Fields enter as equivalent injected currents or through the mechanism `extracellular`, how such studies are usually
written; thresholds by both are the same.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from understudy.errors import InputError
from understudy.tms.cell_model import CableModel
from understudy.tms.neuron_cell import NeuronCell, Run
from understudy.tms.thresholds import CROSSINGS, DEFAULT_GUESS, Thresholds

_LEAST_AMPLITUDE = 1e-3
"""V/m; a cell that fires below is one that fires by itself."""

_loaded: list[str] = []


def load_mechanisms(path: Path | str) -> None:
    """Load a library of `understudy.tms.mechanisms_build.compile_mechanisms`, once per process.

    Raises
    ------
    InputError : the file is missing, or other mechanisms of the same names are loaded already.
    """
    from neuron import h

    path = Path(path).resolve()
    if not path.is_file():
        raise InputError(f"{path}: found no such file, accepted: a library of compile_mechanisms")
    # A copy of the loaded library is as good.
    identity = hashlib.sha256(path.read_bytes()).hexdigest()
    if identity in _loaded:
        return
    if _loaded or hasattr(h, "equivalent_current"):
        found = "another library" if _loaded else "a library that NEURON found in the working folder"
        raise InputError(f"{path}: found {found} loaded already, accepted: one library per process")
    h.nrn_load_dll(str(path))
    _loaded.append(identity)


def steady_state(model: CableModel, *, coupling: str = "injection", calcium: bool = False) -> np.ndarray:
    """Resting membrane potential (M,) mV; NaN at junctions."""
    with NeuronCell(model, coupling, calcium) as cell:
        return _everywhere(cell, cell.resting_mV[None])[0]


def simulate(
    model: CableModel,
    potential_mV: np.ndarray,
    waveform: np.ndarray,
    amplitude: float,
    dt_ms: float,
    *,
    coupling: str = "injection",
    calcium: bool = False,
) -> np.ndarray:
    """Membrane potentials (S, M) mV after each step; NaN at junctions."""
    with NeuronCell(model, coupling, calcium) as cell:
        cell.set_potential(potential_mV)
        trace = np.empty((len(waveform), cell.active.size))
        cell.run(amplitude, waveform, dt_ms, trace=trace)
        return _everywhere(cell, trace)


def _everywhere(cell: NeuronCell, values: np.ndarray) -> np.ndarray:
    """(n, A) spread to (n, M)."""
    full = np.full((len(values), len(cell.model.compartments)), np.nan)
    full[:, cell.active] = values
    return full


def find_threshold(
    cell: NeuronCell,
    waveform: np.ndarray,
    dt_ms: float,
    *,
    tolerance: float = 1e-4,
    guess: float | None = None,
    limit: float = 5000.0,
    whole_window: bool = False,
) -> tuple[float, Run | None, int]:
    """Threshold for the potential set in ``cell``: amplitude (NaN beyond ``limit``), its run, number of runs.

    Bracketed by doubling or halving (a guess first by 5 % to both sides), then bisected until the bracket is within
    ``tolerance`` of its upper end, which is returned.
    """
    fired: dict[float, Run] = {}
    low, high, runs = 0.0, np.inf, 0

    def narrow(amplitude: float) -> None:
        nonlocal low, high, runs
        runs += 1
        run = cell.run(amplitude, waveform, dt_ms, whole_window=whole_window)
        if run.crossings >= CROSSINGS:
            fired[amplitude] = run
            high = amplitude
        else:
            low = amplitude

    narrow(DEFAULT_GUESS if guess is None else 1.05 * guess)
    if guess is not None and np.isfinite(high):
        narrow(0.95 * guess)
    while np.isinf(high) and low < limit:
        narrow(min(2 * low, limit))
    while low == 0.0 and high > _LEAST_AMPLITUDE:
        narrow(0.5 * high)
    if np.isinf(high) or low == 0.0:
        return np.nan, None, runs
    while high - low > tolerance * high:
        narrow(0.5 * (low + high))
    return high, fired[high], runs


def find_thresholds(
    model: CableModel,
    potential_mV: np.ndarray,
    waveform: np.ndarray,
    dt_ms: float,
    *,
    coupling: str = "injection",
    calcium: bool = False,
    tolerance: float = 1e-4,
    guess: np.ndarray | None = None,
    limit: float = 5000.0,
    whole_window: bool = False,
) -> Thresholds:
    """Thresholds of N fields on one cell.

    Parameters
    ----------
    potential_mV : (N, M) quasi-potentials in mV per V/m.
    waveform : (S,) the field's value in each step of ``dt_ms``.
    tolerance : of the bracket, relative to its upper end; guess : (N,) V/m; limit : V/m.
    whole_window : simulate every run to its end, also when the cell is excited already.
    """
    potential_mV = np.atleast_2d(potential_mV)
    number = len(potential_mV)
    threshold, time = np.full(number, np.nan), np.full(number, np.nan)
    site, runs = np.full(number, -1, dtype=np.int32), np.zeros(number, dtype=np.int32)
    with NeuronCell(model, coupling, calcium) as cell:
        for i in range(number):
            cell.set_potential(potential_mV[i])
            threshold[i], run, runs[i] = find_threshold(
                cell,
                waveform,
                dt_ms,
                tolerance=tolerance,
                guess=None if guess is None else float(guess[i]),
                limit=limit,
                whole_window=whole_window,
            )
            if run is not None:
                site[i], time[i] = run.site, run.time_ms
    return Thresholds(threshold, site, time, runs, np.isfinite(threshold))
