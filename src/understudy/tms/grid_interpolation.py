"""Trilinear interpolation on a grid of four numbers per voxel: three components and the weight of tissue.

The four numbers of a corner are one vector of the processor: numba does not see that by itself, so a small intrinsic
says it (twice as fast as the plain loop).
"""

from __future__ import annotations

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

LEAST_TISSUE = 1e-6
"""Less tissue than this among the corners around a place, and the field is not known there."""


@intrinsic
def _corner_mean(typingctx, nodes, first, row, plane, u, v, w, out, place):
    """Store at ``out[place:place + 4]`` the trilinear mean of the eight vectors of four around ``nodes[first]``.

    ``row`` and ``plane`` are the distances in ``nodes`` to the next y and the next x (the next z is 4 away); u, v, w
    the fractions along x, y, z, of the type of ``nodes``.
    """
    if not (isinstance(nodes, types.Array) and nodes.ndim == 1 and nodes.dtype in (types.float32, types.float64)):
        return None

    def codegen(context, builder, signature, args):
        element = context.get_data_type(nodes.dtype)
        vector = ir.VectorType(element, 4)
        size = 4 if nodes.dtype == types.float32 else 8
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        result = context.make_array(signature.args[7])(context, builder, args[7]).data
        start, next_y, next_x, place_out = (
            context.cast(builder, args[k], signature.args[k], types.int64) for k in (1, 2, 3, 8)
        )
        four = ir.Constant(ir.IntType(64), 4)

        def pointer(base, offset):
            return builder.bitcast(builder.gep(base, [offset], inbounds=True), ir.PointerType(vector))

        def spread(k):
            number = context.cast(builder, args[k], signature.args[k], nodes.dtype)
            one = builder.insert_element(ir.Constant(vector, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
            return builder.shuffle_vector(
                one, ir.Constant(vector, ir.Undefined), ir.Constant(ir.VectorType(ir.IntType(32), 4), [0] * 4)
            )

        def between(a, b, t):
            # a + t (b - a): equal corners give their value to the last bit.
            return builder.fadd(a, builder.fmul(t, builder.fsub(b, a, ("contract",)), ("contract",)), ("contract",))

        along_x, along_y, along_z = spread(4), spread(5), spread(6)
        edges = []
        for x in (0, 1):
            for y in (0, 1):
                offset = start
                if x:
                    offset = builder.add(offset, next_x)
                if y:
                    offset = builder.add(offset, next_y)
                low = builder.load(pointer(data, offset), align=size)
                high = builder.load(pointer(data, builder.add(offset, four)), align=size)
                edges.append(between(low, high, along_z))
        mean = between(between(edges[0], edges[1], along_y), between(edges[2], edges[3], along_y), along_x)
        builder.store(mean, pointer(result, place_out), align=size)
        return context.get_dummy_value()

    return types.void(nodes, first, row, plane, u, v, w, out, place), codegen


@numba.njit(cache=True, error_model="numpy", fastmath={"contract"})
def interpolate_grid(nodes, shape, to_index, places, sums, inside):
    """Sums of the field times tissue and of tissue over the eight corners around each place.

    Parameters
    ----------
    nodes : (nx * ny * nz * 4,), the field times tissue and tissue (1 or 0) at the voxels' centres.
    shape : (nx, ny, nz).
    to_index : (3, 4), places to voxel coordinates (whole numbers at centres).
    places : (M, 3).
    sums : (4 * M,) result of the type of ``nodes``, zeros outside the grid: of each four the field is the first three
        over the last.
    inside : (M,) result, True where the voxel that holds the place is tissue.
    """
    nx, ny, nz = shape
    # Unsigned numbers spare the kernel the test for indices that count from the end.
    row, plane, four = np.uintp(4 * nz), np.uintp(4 * nz * ny), np.uintp(4)
    half, zero = nodes.dtype.type(0.5), nodes.dtype.type(0.0)
    for m in range(places.shape[0]):
        px, py, pz = places[m, 0], places[m, 1], places[m, 2]
        x = to_index[0, 3] + to_index[0, 0] * px + to_index[0, 1] * py + to_index[0, 2] * pz
        y = to_index[1, 3] + to_index[1, 0] * px + to_index[1, 1] * py + to_index[1, 2] * pz
        z = to_index[2, 3] + to_index[2, 0] * px + to_index[2, 1] * py + to_index[2, 2] * pz
        # Written so that NaN fails too. Half a voxel of the outermost ones lies beyond their centres.
        if not (x >= -0.5 and y >= -0.5 and z >= -0.5 and x < nx - 0.5 and y < ny - 0.5 and z < nz - 0.5):
            sums[4 * m] = sums[4 * m + 1] = sums[4 * m + 2] = sums[4 * m + 3] = zero
            inside[m] = False
            continue
        x, y, z = min(max(x, 0.0), nx - 1.0), min(max(y, 0.0), ny - 1.0), min(max(z, 0.0), nz - 1.0)
        i, j, k = min(int(x), nx - 2), min(int(y), ny - 2), min(int(z), nz - 2)
        u, v, w = nodes.dtype.type(x - i), nodes.dtype.type(y - j), nodes.dtype.type(z - k)
        a = np.uintp(4 * ((i * ny + j) * nz + k))
        _corner_mean(nodes, a, row, plane, u, v, w, sums, 4 * m)
        nearest = a + np.uintp(3)
        if u >= half:
            nearest += plane
        if v >= half:
            nearest += row
        if w >= half:
            nearest += four
        inside[m] = nodes[nearest] > zero
