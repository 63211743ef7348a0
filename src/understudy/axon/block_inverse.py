"""Block-tridiagonal elimination with explicit block inverses, for eight systems at a time.

Lines of the axon couple along it only to themselves and across it only at the same station, so the stiffness matrix is
block tridiagonal with diagonal off-diagonal blocks ``-C_i``. With ``D_i = A_i - C_{i-1} D_{i-1}^-1 C_{i-1}``

    forward   v_i = D_i^-1 (r_i + C_{i-1} v_{i-1})
    backward  x_i = v_i + D_i^-1 C_i x_{i+1}

The negative inverses of the D_i are kept (Gauss-Jordan by 4 x 4 tiles; the flops of a banded Cholesky factorisation at
half its memory), so a right-hand side without a new matrix costs two block products per station. Diagonal tiles are
stored whole, the others from the lower triangle only.
"""

from __future__ import annotations

from numba import njit

from understudy.axon.simd_lanes import (
    tile_congruence,
    tile_copy,
    tile_invert,
    tile_product,
    tile_subtract_apply,
    tile_subtract_apply_both,
    tile_subtract_outer,
    tile_subtract_outer_symmetric,
    tile_transpose,
)

TILE = 4
ENTRIES = TILE * TILE


@njit(cache=True, inline="always")
def tile(row, column):
    """Number of the tile (row >= column) in the packed lower triangle; ``tile(n, 0)`` counts the tiles of n rows."""
    return (row * (row + 1)) // 2 + column


@njit(cache=True)
def transfer_block(inverse, target, source, c, ic, blocks):
    """Block at entry ``target`` = C N C for the block N at entry ``source`` and the diagonal C at ``c[ic]``."""
    for i in range(blocks):
        for j in range(i + 1):
            offset = ENTRIES * tile(i, j)
            tile_congruence(inverse, target + offset, inverse, source + offset, c, ic + TILE * i, c, ic + TILE * j)


@njit(cache=True)
def invert_block(a, first, blocks, cross, scaled):
    """Replace the symmetric positive definite block at entry ``first`` by its negative inverse.

    ``cross`` and ``scaled`` are work space of ``blocks`` tiles each.
    """
    for k in range(blocks):
        pivot = first + ENTRIES * tile(k, k)
        tile_invert(a, pivot)
        # Column k: above the diagonal it is stored as the transpose of row k.
        for i in range(k):
            tile_transpose(cross, i * ENTRIES, a, first + ENTRIES * tile(k, i))
            tile_product(scaled, i * ENTRIES, cross, i * ENTRIES, a, pivot)
        for i in range(k + 1, blocks):
            tile_product(scaled, i * ENTRIES, a, first + ENTRIES * tile(i, k), a, pivot)
        for j in range(blocks):
            if j < k:
                column, at = cross, j * ENTRIES
            else:
                column, at = a, first + ENTRIES * tile(j, k)
            if j != k:
                tile_subtract_outer_symmetric(a, first + ENTRIES * tile(j, j), scaled, j * ENTRIES, column, at)
                for i in range(j + 1, blocks):
                    if i != k:
                        tile_subtract_outer(a, first + ENTRIES * tile(i, j), scaled, i * ENTRIES, column, at)
        for i in range(k):
            tile_transpose(a, first + ENTRIES * tile(k, i), scaled, i * ENTRIES)
        for i in range(k + 1, blocks):
            tile_copy(a, first + ENTRIES * tile(i, k), scaled, i * ENTRIES)


@njit(cache=True)
def subtract_apply(y, iy, a, first, x, ix, blocks):
    """y[iy:] -= a x[ix:] for the symmetric block ``a`` at entry ``first``."""
    for i in range(blocks):
        for j in range(i):
            tile_subtract_apply_both(
                y, iy + TILE * i, iy + TILE * j, a, first + ENTRIES * tile(i, j), x, ix + TILE * i, ix + TILE * j
            )
        tile_subtract_apply(y, iy + TILE * i, a, first + ENTRIES * tile(i, i), x, ix + TILE * i)
