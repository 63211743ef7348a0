"""Block-tridiagonal systems with blocks of 3 x 3, many at once, by cyclic reduction in torch.

Row i of a system reads ``L_i x_(i-1) + D_i x_i + U_i x_(i+1) = r_i``. Each round eliminates the odd rows, all of them
at once, and leaves a system of half as many; log2(N) rounds down and as many back up (Buzbee, Golub & Nielson 1970; for
blocks Heller 1976). No pivots are chosen: the blocks must be such that elimination in any order is stable, as those of
diffusion with reactions are.

Arrays hold components first, then the N nodes, then the K systems, so that neighbours in memory are systems.
"""

from __future__ import annotations

import torch


def inverse_3x3(blocks: torch.Tensor) -> torch.Tensor:
    """Inverses (3, 3, ...) of blocks (3, 3, ...), from their cofactors."""
    # Row i of the cofactors is the cross product of the two rows after row i.
    cofactors = torch.linalg.cross(blocks.roll(-1, 0), blocks.roll(-2, 0), dim=1)
    determinant = (blocks[0] * cofactors[0]).sum(0)
    return (cofactors / determinant).transpose(0, 1)


def _product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """``a b`` for blocks (3, 3, n, K), or the diagonals (3, n, K) of such, and (3, C, n, K)."""
    if a.dim() == 3:
        return a[:, None] * b
    found = a[:, 0, None] * b[0]
    return found.addcmul_(a[:, 1, None], b[1]).addcmul_(a[:, 2, None], b[2])


def _columns(inverse: torch.Tensor, lower: torch.Tensor, upper: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Inverse times lower block, upper block and right-hand side, (3, 7, n, K)."""
    if lower.dim() == 3:
        y = (inverse * right).sum(1, keepdim=True)
        return torch.cat([inverse * lower, inverse * upper, y], dim=1)
    return _product(inverse, torch.cat([lower, upper, right[:, None]], dim=1))


def solve_block_tridiagonal(
    lower: torch.Tensor, diagonal: torch.Tensor, upper: torch.Tensor, right: torch.Tensor
) -> torch.Tensor:
    """Solutions (3, N, K) of K systems of N rows.

    Parameters
    ----------
    lower, upper : (3, 3, N, K), or the diagonals (3, N, K) of blocks that have nothing else; what would couple the
        first row to one before it, and the last to one after it, must be 0.
    diagonal : (3, 3, N, K).
    right : (3, N, K).
    """
    n = right.shape[1]
    if n == 1:
        return (inverse_3x3(diagonal) * right).sum(1)
    pairs, kept = n // 2, n - n // 2
    odd, even = slice(1, None, 2), slice(0, None, 2)
    # x_odd = y - P x_before - Q x_after, columns P, Q and y.
    columns = _columns(
        inverse_3x3(diagonal[..., odd, :]), lower[..., odd, :], upper[..., odd, :], right[..., odd, :]
    )  # fmt: skip
    # The odd row before an even one, which the first has not, and that after it, which the last may not have.
    before = _product(lower[..., even, :][..., 1:, :], columns[..., : kept - 1, :])
    after = _product(upper[..., even, :][..., :pairs, :], columns)
    own, sums = diagonal[..., even, :].clone(), right[..., even, :].clone()
    own[..., 1:, :] -= before[:, 3:6]
    own[..., :pairs, :] -= after[:, :3]
    sums[:, 1:] -= before[:, 6]
    sums[:, :pairs] -= after[:, 6]
    down, up = torch.zeros_like(own), torch.zeros_like(own)
    down[..., 1:, :] -= before[:, :3]
    up[..., :pairs, :] -= after[:, 3:6]
    x_even = solve_block_tridiagonal(down, own, up, sums)
    x_odd = columns[:, 6] - (columns[:, :3] * x_even[:, :pairs]).sum(1)
    x_odd[:, : kept - 1] -= (columns[:, 3:6, : kept - 1] * x_even[:, 1:]).sum(1)
    found = torch.stack([x_even[:, :pairs], x_odd], dim=2).flatten(1, 2)
    return found if kept == pairs else torch.cat([found, x_even[:, -1:]], dim=1)
