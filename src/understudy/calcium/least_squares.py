"""Levenberg and Marquardt's method for networks of a few hundred weights: all derivatives of all residuals.

Where L-BFGS crawls along a valley, the normal equations of residuals step to its floor; forward derivatives of every
residual by every weight cost as many passes as there are weights, which batches well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.func import functional_call, jacfwd

from understudy.calcium.rate_network import RateNetwork

Residuals = Callable[[RateNetwork], torch.Tensor]

_FIRST_DAMPING, _LEAST_DAMPING, _TRIES = 1e-3, 1e-9, 8


class _Blocks(nn.Module):
    """Blocks of residuals of a network as one module, so that its weights can be handed in."""

    def __init__(self, network: RateNetwork, blocks: Sequence[Residuals]) -> None:
        super().__init__()
        self.network, self.blocks = network, blocks

    def forward(self, block: int) -> torch.Tensor:
        return self.blocks[block](self.network)


def levenberg_marquardt(
    network: RateNetwork, blocks: Sequence[Residuals], iterations: int, *, least_gain: float = 1e-4
) -> float:
    """Change the network to the least sum of squares of all residuals, and give that sum; never to a greater one.

    Parameters
    ----------
    blocks : each gives residuals (R,) of the network; a block's derivatives (R, weights) are held at a time.
    iterations : at most so many; fewer where the sum falls by less than ``least_gain`` of itself.
    """
    whole = _Blocks(network, blocks)
    names = [name for name, _ in whole.named_parameters()]
    shapes = [weights.shape for weights in whole.parameters()]
    sizes = [shape.numel() for shape in shapes]
    point = torch.cat([weights.detach().reshape(-1) for weights in whole.parameters()])

    def residuals(weights: torch.Tensor, block: int) -> torch.Tensor:
        parts = (part.reshape(shape) for part, shape in zip(weights.split(sizes), shapes, strict=True))
        return functional_call(whole, dict(zip(names, parts, strict=True)), (block,))

    def total(weights: torch.Tensor) -> float:
        return sum(float(residuals(weights, block).square().sum()) for block in range(len(blocks)))

    with torch.no_grad():
        loss, damping = total(point), _FIRST_DAMPING
        for _ in range(iterations):
            curvature, slope = point.new_zeros((len(point), len(point))), torch.zeros_like(point)
            for block in range(len(blocks)):
                by_weight = jacfwd(residuals)(point, block)
                curvature += by_weight.T @ by_weight
                slope += by_weight.T @ residuals(point, block)
            scale = curvature.diagonal().clamp(min=1e-12 * float(curvature.diagonal().max()))
            for _ in range(_TRIES):
                step = -torch.linalg.solve(curvature + damping * torch.diag(scale), slope)
                found = total(point + step)
                if found < loss:
                    break
                damping *= 5
            else:
                break
            expected = -float(step @ (2 * slope + curvature @ step))
            share = (loss - found) / expected if expected > 0 else 0.0
            damping = max(damping * (0.2 if share > 0.7 else 1.0 if share > 0.3 else 2.0), _LEAST_DAMPING)
            gain, loss, point = (loss - found) / loss, found, point + step
            if gain < least_gain:
                break
        for weights, part in zip(whole.parameters(), point.split(sizes), strict=True):
            weights.copy_(part.reshape(weights.shape))
    return loss
