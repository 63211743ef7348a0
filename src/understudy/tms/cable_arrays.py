"""The arrays that describe one cell, and the state of sixteen stimuli, to the cable kernel."""

from __future__ import annotations

from collections import namedtuple

import numpy as np

from understudy.tms.channel_kinetics import CHANNEL_KINETICS, TABLE_STEP_MV, gate_count, rate_table
from understudy.tms.compartments import Compartments
from understudy.tms.simd_lanes import LANES, lanes_array

AREA_TO_UF = 1e-5
"""um2 x uF/cm2 -> nF."""
AREA_TO_US = 1e-2
"""um2 x S/cm2 -> uS."""

Cable = namedtuple(
    "Cable",
    "parent axial fixed capacity leak branch area active "
    "compartment set_of state_of density_of density "
    "gates channel_start tile_start table_start stride table "
    "channel_m channel_h channel_power channel_reversal tile_column tile_width place order",
)
Cable.__doc__ = """One cell at one time step, as the kernel reads it (M compartments, A of them with channels).

parent (M,) int32; axial (M,) uS to the parent; fixed (M,) uS, the part of the diagonal that never changes (capacity,
leak, axial); capacity (M,) uS, capacitance over time step; leak (M,) nA, leak conductance times its reversal; branch
(M,) int32, number of the sum that children other than the next compartment add to, -1 for none; area (M,) bool;
active (M,) int32, number among those with channels, -1 for none; compartment (A,) int32 and set_of (A,) int32;
state_of (A,) first gate and density_of (A,) first entry of density (uS). Of each channel set: gates, and where its
channels, tiles and table start. Of each channel of a set: gate numbers of m and h (-1: none), power, reversal. Tiles
are the blocks of eight or four columns in which the kernel reads the table (flat); place holds the table's low voltage,
rows per mV and last place, and the numbers 0, 1 and 1/2 in the kernel's precision; order 1 or 2.
"""


def channel_sets(compartments: Compartments) -> tuple[list[tuple[int, ...]], np.ndarray]:
    """The sets of channels that occur and the set of each compartment (M,), -1 where there is none."""
    present = (compartments.density > 0) & (compartments.area > 0)[:, None]
    sets, number = [], np.full(len(compartments), -1, dtype=np.int32)
    for i in np.flatnonzero(present.any(axis=1)):
        channels = tuple(int(c) for c in np.flatnonzero(present[i]))
        if channels not in sets:
            sets.append(channels)
        number[i] = sets.index(channels)
    return sets, number


def build_cable(
    compartments: Compartments,
    dt_ms: float,
    precision: str = "float64",
    table_step_mV: float = TABLE_STEP_MV,
    order: int = 1,
) -> Cable:
    """Arrays of the kernel for one cell and time step; order 1 is implicit Euler, order 2 BDF2."""
    dtype = np.dtype(precision).type
    count = len(compartments)
    area = np.asarray(compartments.area, dtype=float)
    parent = np.asarray(compartments.parent, dtype=np.int32)
    capacity = AREA_TO_UF * area * compartments.capacitance / dt_ms
    leak = AREA_TO_US * area * compartments.leak
    fixed = (1.5 if order == 2 else 1.0) * capacity + leak
    fixed[1:] += compartments.axial[1:]
    np.add.at(fixed, parent[1:], compartments.axial[1:])

    branch = np.full(count, -1, dtype=np.int32)
    others = np.unique(parent[1:][parent[1:] != np.arange(count - 1)])
    branch[others] = np.arange(len(others), dtype=np.int32)

    sets, set_of_all = channel_sets(compartments)
    compartment = np.flatnonzero(set_of_all >= 0).astype(np.int32)
    set_of = set_of_all[compartment]
    active = np.full(count, -1, dtype=np.int32)
    active[compartment] = np.arange(len(compartment), dtype=np.int32)
    gates = np.array([gate_count(s) for s in sets], dtype=np.int32)
    state_of = np.concatenate([[0], np.cumsum(gates[set_of])]).astype(np.int32)
    density = [AREA_TO_US * area[i] * compartments.density[i, list(sets[set_of_all[i]])] for i in compartment]
    density_of = np.concatenate([[0], np.cumsum([len(d) for d in density])]).astype(np.int32)

    channel_start, tile_start, table_start, stride = [0], [0], [], []
    m, h, power, reversal, column, width, tables = [], [], [], [], [], [], []
    at, table = 0, None
    for channels in sets:
        gate = 0
        for c in channels:
            channel = CHANNEL_KINETICS[c]
            m.append(gate)
            h.append(gate + 1 if len(channel.gates) == 2 else -1)
            gate += len(channel.gates)
            power.append(channel.power)
            reversal.append(channel.reversal_mV)
        channel_start.append(len(m))
        table = rate_table(channels, dt_ms, table_step_mV)
        columns = table.values.shape[1]
        for start in range(0, columns, 8):
            column.append(start)
            width.append(min(8, columns - start))
        tile_start.append(len(column))
        table_start.append(at)
        stride.append(columns)
        tables.append(table.values.ravel())
        at += table.values.size
    if table is None:
        place = np.array([0, 0, 0, 0, 1, 0.5], dtype=dtype)
    else:
        last = np.nextafter(dtype(len(table.values) - 1), dtype(0))
        place = np.array([table.low_mV, 1.0 / table.step_mV, last, 0.0, 1.0, 0.5], dtype=dtype)

    def whole(values):
        return np.array(values, dtype=np.int32)

    def real(values):
        return np.array(values, dtype=dtype)

    return Cable(
        parent, real(compartments.axial), real(fixed), real(capacity), real(leak * compartments.leak_reversal), branch,
        area > 0, active, compartment, set_of, state_of, density_of, real(np.concatenate([*density, [0.0]])),
        whole(gates), whole(channel_start), whole(tile_start), whole(table_start), whole(stride),
        real(np.concatenate([*tables, np.zeros(8)])),
        whole(m), whole(h), whole(power), real(reversal), whole(column), whole(width), place, order,
    )  # fmt: skip


Lanes = namedtuple(
    "Lanes",
    "v before state drive gain offset conductance current sums table_row table_part rates scale count first_site begun "
    "first_mV",
)
Lanes.__doc__ = """State of sixteen stimuli and the working space of a step (flat arrays, lanes innermost).

v (M) mV and before (M) one step earlier; state (gates of all compartments with channels); drive (M) nA at unit
amplitude; gain and offset (M), what the elimination leaves: v = gain v(parent) + offset; conductance (A) uS and current
(A) nA of the channels; sums (2 per branch point); scale (1), amplitude times time course of each lane in this step;
count (16,) crossings so far and begun (16,) those before this step; first_site (16,) compartment of the first one and
first_mV (16,) its potential at the end of that step.
"""


def new_lanes(cable: Cable) -> Lanes:
    """Zeroed state for sixteen stimuli."""
    dtype = cable.axial.dtype.type
    count, active = len(cable.parent), len(cable.compartment)
    branches = int(cable.branch.max()) + 1
    most = int(cable.stride.max(initial=8)) + 8
    return Lanes(
        *(lanes_array(n, dtype) for n in (count, count, int(cable.state_of[-1]), count, count, count, active, active)),
        lanes_array(2 * branches, dtype), np.zeros(LANES, dtype=np.int32), np.zeros(LANES, dtype=dtype),
        lanes_array(most, dtype), lanes_array(1, dtype), np.zeros(LANES, dtype=np.int64),
        np.full(LANES, -1, dtype=np.int32), np.zeros(LANES, dtype=np.int64), np.zeros(LANES, dtype=dtype),
    )  # fmt: skip
