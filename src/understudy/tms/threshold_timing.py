"""CPU time of a threshold by the batched engine and by NEURON, side by side on one core.

Every way has a process of its own: NEURON runs a cell more slowly where other cells lived before (1.6 times, measured),
which would flatter the engine.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from understudy.tms.cell_model import CableModel
from understudy.tms.neuron_cell import NeuronCell
from understudy.tms.neuron_reference import find_threshold, load_mechanisms
from understudy.tms.threshold_engine import find_thresholds, resting_state
from understudy.worker_process import worker_process

WAYS = ("engine", "injection", "played_potentials")
"""The batched engine, NEURON with equivalent currents, NEURON with a vector played into each segment's
``e_extracellular`` as scripts usually do."""

# What a process keeps between its calls: its cell, and how to run it.
_kept: dict = {}


def _prepare(way: str, model: CableModel, waveform: np.ndarray, dt_ms: float, tolerance: float, library: str) -> None:
    """Make the cell once, as every way would; the first run compiles, or lets NEURON lay out its memory."""
    _kept.update(way=way, model=model, waveform=waveform, dt_ms=dt_ms, tolerance=tolerance)
    if way == "engine":
        _kept["rest"] = resting_state(model.compartments)
        potential = np.zeros((1, len(model.compartments)))
        find_thresholds(model.compartments, potential, waveform, dt_ms, limit=200.0, rest_mV=_kept["rest"])
    else:
        load_mechanisms(library)
        _kept["cell"] = NeuronCell(model, way)
        _kept["cell"].set_potential(np.zeros(len(model.compartments)))
        _kept["cell"].run(1.0, waveform, dt_ms)


def _measure(potential_mV: np.ndarray) -> tuple[float, np.ndarray]:
    """CPU seconds and thresholds (n,) of potentials (n, M)."""
    waveform, dt_ms, tolerance = _kept["waveform"], _kept["dt_ms"], _kept["tolerance"]
    start = time.process_time()
    if _kept["way"] == "engine":
        found = find_thresholds(
            _kept["model"].compartments, potential_mV, waveform, dt_ms, tolerance=tolerance, rest_mV=_kept["rest"]
        ).threshold
    else:
        values = []
        for potential in potential_mV:
            _kept["cell"].set_potential(potential)
            values.append(find_threshold(_kept["cell"], waveform, dt_ms, tolerance=tolerance)[0])
        found = np.array(values)
    return time.process_time() - start, found


def time_thresholds(
    models: Sequence[CableModel],
    potentials_mV: Sequence[np.ndarray],
    waveform: np.ndarray,
    dt_ms: float,
    library: Path,
    *,
    tolerance: float = 1e-3,
    rounds: int = 3,
) -> dict:
    """Seconds of CPU time per threshold, medians over rounds in which the ways take turns; cells count alike.

    All ways search from the published start to equal tolerance and end a run once the cell counts as excited. In each
    round NEURON finds the threshold of one field and the engine those of all, that field among them. Making the cell
    and its resting state is left out: it is done once for many fields.

    Parameters
    ----------
    models : cells; potentials_mV : for each, quasi-potentials (n, M) of 32 or more fields, so that lanes are full.

    Returns
    -------
    ``<way>_s_per_threshold`` for engine, injection and script; ``threshold_difference``, the largest between engine and
    script; ``tolerance``, ``rounds``, ``batch`` and ``cells``.
    """
    spent = {way: np.zeros((rounds, len(models))) for way in WAYS}
    worst = 0.0
    for column, (model, potential) in enumerate(zip(models, potentials_mV, strict=True)):
        with ExitStack() as stack:
            workers = {}
            for way in WAYS:
                arguments = (way, model, waveform, dt_ms, tolerance, str(library))
                workers[way] = stack.enter_context(worker_process(_prepare, *arguments))
            for turn in range(rounds):
                row = turn % len(potential)
                found = {}
                for way, worker in workers.items():
                    rows = potential if way == "engine" else potential[row : row + 1]
                    seconds, found[way] = worker.submit(_measure, rows).result()
                    spent[way][turn, column] = seconds / len(rows)
                worst = max(worst, float(abs(found["engine"][row] / found["played_potentials"][0] - 1)))
    median = {way: float(np.median(values.mean(axis=1))) for way, values in spent.items()}
    return {
        "engine_s_per_threshold": median["engine"],
        "injection_s_per_threshold": median["injection"],
        "script_s_per_threshold": median["played_potentials"],
        "threshold_difference": worst,
        "tolerance": tolerance,
        "rounds": rounds,
        "batch": int(min(len(potential) for potential in potentials_mV)),
        "cells": [model.compartments.cell for model in models],
    }
