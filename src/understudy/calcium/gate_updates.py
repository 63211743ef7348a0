"""Steps of gates with their rates held, in torch: in closed form, or by the method of the receptors' own equations.

Beside `understudy.calcium.rate_network.relax`, which is exact, stands the two-stage SDIRK method of
`understudy.calcium.rate_kernel`, which the compiled hybrid takes unless it is told otherwise: with it a network errs
over a step as the equations do. The tests hold the two against each other.
"""

from __future__ import annotations

import math

import torch

from understudy.calcium.rate_network import relax

_SDIRK = 1.0 - math.sqrt(0.5)


def _independent(gates, rates, dt_s):
    opening, closing = rates[..., 0::2], rates[..., 1::2]
    total = opening + closing
    divisor = 1 / (1 + total * (_SDIRK * dt_s))
    # The stability function is negative for long steps, so the gate is cut to [0, 1].
    keep = (1 - total * ((1 - 2 * _SDIRK) * dt_s)) * divisor * divisor
    rest = opening / total
    return (rest + (gates - rest) * keep).clamp(0, 1)


def _chain(gates, rates, dt_s):
    opening, closing, entering, leaving = rates.unbind(-1)
    h = _SDIRK * dt_s
    from_closed, from_refractory = 1 / (1 + h * opening), 1 / (1 + h * leaving)
    weight = 1 / (1 + h * (closing * from_closed + entering * from_refractory))

    def stage(shares: torch.Tensor) -> torch.Tensor:
        """Backward Euler of the shares open, refractory and closed (..., 3) over ``h``."""
        p = (1 - shares[..., 1] * from_refractory - shares[..., 2] * from_closed) * weight
        q = (shares[..., 1] + h * entering * p) * from_refractory
        return torch.stack([p, q, 1 - p - q], dim=-1)

    shares = torch.cat([gates, 1 - gates.sum(-1, keepdim=True)], dim=-1)
    first = stage(shares)
    # Extrapolation between the stages, no farther than the simplex reaches: the second stage keeps it.
    fall = shares - first
    reach = torch.where(fall > 0, shares / fall, math.inf).amin(-1, keepdim=True)
    p, q, _ = stage(shares - reach.clamp(0, (1 - _SDIRK) / _SDIRK) * fall).unbind(-1)
    p = p.clamp(0, 1)
    return torch.stack([p, torch.minimum(q, 1 - p).clamp(min=0)], dim=-1)


def relax_sdirk(gates: torch.Tensor, rates: torch.Tensor, dt_s: float, gating: str) -> torch.Tensor:
    """Gates (..., G) after ``dt_s`` with the rates (..., R) in 1/s held, by the two-stage SDIRK method of order 2.

    Limited so that gates stay probabilities for any rates and any step (docs/science/calcium.md).
    """
    return _chain(gates, rates, dt_s) if gating == "chain" else _independent(gates, rates, dt_s)


UPDATES = {"exponential": relax, "sdirk": relax_sdirk}
