"""Threshold engine: seconds per threshold against NEURON with equivalent injected currents and with `extracellular`.

    python benchmarks/thresholds.py [--quick] [--cell-type L5_TTPC] [--morphology FILE]

All sides run in this process on the same cell, fields, steps (5 us), window (1 ms), detectors and searches,
interleaved, on one thread; CPU seconds are compared, so that neighbours on the machine matter less. Setting a cell up
and its resting state are left out on all sides, and every side ends a run as soon as it is known to fire. Beside every
ratio stands the largest relative difference of the thresholds.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from understudy.tms.cell_model import CableModel, build_compartments
from understudy.tms.field_basis import potential_of, random_fields
from understudy.tms.mechanisms_build import compile_mechanisms
from understudy.tms.morphology_files import read_morphology
from understudy.tms.neuron_cell import NeuronCell
from understudy.tms.neuron_reference import find_threshold, load_mechanisms
from understudy.tms.pulses import standard_pulses
from understudy.tms.synthesis import CELL_TYPES, synthesise
from understudy.tms.threshold_engine import find_thresholds, resting_state

DT_MS, WINDOW_MS = 0.005, 1.0
FIELDS = 64
PEERS = {"injection": 4, "extracellular": 1, "played_potentials": 1}
"""Couplings of NEURON and how many of the fields each gets in a round."""


def cpu_seconds(work: Callable) -> tuple[float, object]:
    """CPU seconds of a call and its result."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def rounds_against_neuron(model: CableModel, rounds: int) -> None:
    """Print seconds per threshold and ratios, medians over interleaved rounds."""
    cell = model.compartments
    waveform = standard_pulses()["monophasic"].steps(DT_MS, WINDOW_MS)
    coefficients = random_fields(FIELDS, np.random.default_rng(1))
    potential = potential_of(cell.centre, cell.parent, coefficients)
    rest = resting_state(cell)
    ways = {
        "this engine, float64": {"rest_mV": rest},
        "this engine, float32": {"rest_mV": rest, "precision": "float32"},
        "this engine, order 2": {"rest_mV": rest, "order": 2},
    }
    for options in ways.values():  # compiles
        find_thresholds(cell, potential[:1], waveform[:2], DT_MS, limit=1.0, **options)
    first = next(iter(ways))
    seconds: dict[str, list[float]] = {name: [] for name in (*ways, *PEERS)}
    speed: dict[str, list[float]] = {name: [] for name in (*ways, *PEERS)}
    difference = dict.fromkeys((*ways, *PEERS), 0.0)
    simulated = FIELDS * len(cell) * len(waveform)
    for turn in range(rounds):
        found = {}
        for name, options in ways.items():
            spent, found[name] = cpu_seconds(lambda o=options: find_thresholds(cell, potential, waveform, DT_MS, **o))
            seconds[name].append(spent / FIELDS)
            # A limit far below threshold makes it one whole window per field.
            spent, _ = cpu_seconds(lambda o=options: find_thresholds(cell, potential, waveform, DT_MS, limit=1.0, **o))
            speed[name].append(simulated / spent)
            shift = np.abs(found[name].threshold / found[first].threshold - 1)
            difference[name] = max(difference[name], float(np.nanmax(shift)))
        for coupling, count in PEERS.items():
            with NeuronCell(model, coupling) as peer:
                spent, thresholds = 0.0, []
                chosen = [(turn * count + k) % FIELDS for k in range(count)]
                for field in chosen:
                    peer.set_potential(potential[field])
                    peer.run(1.0, waveform[:2], DT_MS)
                    part, answer = cpu_seconds(lambda p=peer: find_threshold(p, waveform, DT_MS))
                    spent += part
                    thresholds.append(answer[0])
                seconds[coupling].append(spent / count)
                whole, _ = cpu_seconds(lambda p=peer: p.run(1.0, waveform, DT_MS))
                speed[coupling].append(len(cell) * len(waveform) / whole)
            shift = np.abs(np.array(thresholds) / found[first].threshold[chosen] - 1)
            difference[coupling] = max(difference[coupling], float(np.nanmax(shift)))
    print(f"{'':24} {'ms/threshold':>12} {'comp.-steps/s':>14} {'engine faster (min, max)':>28} {'difference':>11}")
    for name in seconds:
        ratios = [theirs / ours for theirs, ours in zip(seconds[name], seconds[first], strict=True)]
        label = name if name in ways else f"NEURON, {name}"
        ratio = f"{statistics.median(ratios):.1f} ({min(ratios):.1f}, {max(ratios):.1f})"
        print(
            f"{label:24} {1e3 * statistics.median(seconds[name]):12.2f} {statistics.median(speed[name]):14.2e} "
            f"{ratio:>28} {difference[name]:11.1e}"
        )
    print("difference: largest of the thresholds against float64, order 1; order 2 has another time-step error.")


def main() -> None:
    """Read the arguments, build the cell, run the rounds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two rounds instead of seven")
    parser.add_argument("--cell-type", default="L5_TTPC", choices=CELL_TYPES)
    parser.add_argument("--morphology", type=Path, help="a reconstruction instead of a synthetic cell")
    parser.add_argument("--mechanisms", type=Path, help="folder that keeps the compiled mechanisms")
    arguments = parser.parse_args()
    if arguments.morphology:
        morphology = read_morphology(arguments.morphology)
    else:
        morphology = synthesise(arguments.cell_type, np.random.default_rng(11), arguments.cell_type)
    model = build_compartments(morphology, arguments.cell_type)
    rounds = 2 if arguments.quick else 7
    area = model.compartments.area
    active = int((model.compartments.density.any(axis=1) & (area > 0)).sum())
    print(
        f"{morphology.name} as {arguments.cell_type}: {len(area)} compartments, {active} of them with channels; "
        f"{FIELDS} non-uniform fields, monophasic pulse, step {1e3 * DT_MS:g} us, tolerance 1e-4, {rounds} rounds"
    )
    with tempfile.TemporaryDirectory() as folder:
        load_mechanisms(compile_mechanisms(arguments.mechanisms or folder))
        rounds_against_neuron(model, rounds)


if __name__ == "__main__":
    main()
