"""A small branched cell with every kind of membrane, and the same cable solved without any of the engine's means."""

from __future__ import annotations

import numpy as np

from understudy.tms.channel_kinetics import CHANNEL_KINETICS, gate_kinetics
from understudy.tms.compartments import CHANNELS, COMPARTMENT_KINDS, Compartments

_AXON = {"NaTa_t": 3.1, "K_Tst": 0.09, "Nap_Et2": 0.007, "K_Pst": 0.97, "SKv3_1": 1.0}
_NODE = {**_AXON, "NaTa_t": 6.2}
_SOMA = {"NaTs2_t": 0.98, "SKv3_1": 0.3, "Ih": 8e-5}
_BASAL = {"Ih": 8e-5}
_APICAL = {"NaTs2_t": 0.026, "SKv3_1": 0.004, "Im": 1e-4, "Ih": 8e-5}


def branched_cell() -> Compartments:
    """Soma, two dendrites and a myelinated axon that branches at a junction into two."""
    rows = []

    def add(parent, length, diameter, capacitance, leak, density, kind, direction):
        rows.append((parent, length, diameter, capacitance, leak, density, kind, np.asarray(direction, dtype=float)))
        return len(rows) - 1

    def grow(parent, count, *row):
        for _ in range(count):
            parent = add(parent, *row)
        return parent

    def internodes(parent, count, direction):
        for _ in range(count):
            parent = grow(parent, 3, 33.0, 1.4, 0.02, 1 / 1.125e6, {}, "myelin", direction)
            parent = add(parent, 1.0, 1.0, 1.0, 3e-5, _NODE, "node", direction)
        return parent

    soma = add(-1, 20.0, 15.0, 1.0, 3e-5, _SOMA, "soma", (0, 0, 0))
    grow(soma, 12, 20.0, 2.0, 2.0, 3e-5, _BASAL, "basal", (1, 0, 0))
    grow(soma, 12, 25.0, 3.0, 2.0, 3e-5, _APICAL, "apical", (0, 0, 1))
    initial = grow(soma, 5, 10.0, 1.5, 1.0, 3e-5, _AXON, "axon_initial", (0, 0, -1))
    fork = add(internodes(initial, 4, (0, 0.3, -0.95)), 10.0, 1.0, 1.0, 3e-5, {}, "junction", (0, 0, -1))
    first = internodes(fork, 4, (0.8, 0, -0.6))
    second = grow(fork, 10, 15.0, 0.6, 1.0, 3e-5, _AXON, "unmyelinated", (-0.7, -0.7, 0))

    count = len(rows)
    centre, axial, path = np.zeros((count, 3)), np.zeros(count), np.zeros(count)
    for i in range(1, count):
        parent, length, diameter, direction = rows[i][0], rows[i][1], rows[i][2], rows[i][7]
        centre[i], path[i] = centre[parent] + length * direction, path[parent] + length
        axial[i] = 100 * np.pi * diameter**2 / 4 / (100 * length)  # uS at 100 ohm cm
    density = np.zeros((count, len(CHANNELS)))
    for i, row in enumerate(rows):
        for name, value in row[5].items():
            density[i, CHANNELS.index(name)] = value
    kind = np.array([COMPARTMENT_KINDS.index(row[6]) for row in rows], dtype=np.int8)
    area = np.array([np.pi * row[1] * row[2] for row in rows])
    area[kind == COMPARTMENT_KINDS.index("junction")] = 0.0
    return Compartments(
        "branched", "L5_TTPC", np.array([row[0] for row in rows], dtype=np.int32), centre, area, axial,
        np.array([row[3] for row in rows]), np.array([row[4] for row in rows]), np.full(count, -75.0), density, kind,
        np.zeros(count, dtype=np.int32), np.zeros(count), path, np.array([row[2] for row in rows]),
        np.array([first, second], dtype=np.int32),
    )  # fmt: skip


def plain_simulation(
    cell: Compartments, rest_mV: np.ndarray, potential_mV: np.ndarray, waveform: np.ndarray, dt_ms: float
) -> np.ndarray:
    """Potentials (S, M) by implicit Euler with a dense matrix and exact kinetics, gates after the potential."""
    count = len(cell)
    axial = np.zeros((count, count))
    for i in range(1, count):
        p, g = cell.parent[i], cell.axial[i]
        axial[[i, p], [i, p]] += g
        axial[[i, p], [p, i]] -= g
    current = -axial @ potential_mV
    capacity, leak = 1e-5 * cell.area * cell.capacitance / dt_ms, 1e-2 * cell.area * cell.leak
    v = rest_mV.copy()
    gates = [[inf for inf, _ in gate_kinetics(channel, v)] for channel in CHANNEL_KINETICS]
    out = []
    for value in waveform:
        diagonal, right = capacity + leak, capacity * v + leak * cell.leak_reversal + value * current
        for c, (channel, states) in enumerate(zip(CHANNEL_KINETICS, gates, strict=True)):
            g = 1e-2 * cell.area * cell.density[:, c] * states[0] ** channel.power
            g = g * states[1] if len(states) == 2 else g
            diagonal, right = diagonal + g, right + g * channel.reversal_mV
        v = np.linalg.solve(axial + np.diag(diagonal), right)
        for channel, states in zip(CHANNEL_KINETICS, gates, strict=True):
            for number, (inf, tau) in enumerate(gate_kinetics(channel, v)):
                states[number] = states[number] + (1 - np.exp(-dt_ms / tau)) * (inf - states[number])
        out.append(v)
    return np.array(out)
