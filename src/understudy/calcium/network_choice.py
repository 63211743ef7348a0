"""Which of several trained networks stands for its number of unknowns: the one that errs least in closed loop."""

from __future__ import annotations

from collections.abc import Mapping

from understudy.calcium.gated_channel import Domain
from understudy.calcium.hybrid_evaluation import draw_heldout_cases, heldout_errors, simulate_heldout
from understudy.calcium.hybrid_study import WAVES_ONLY, network_make
from understudy.calcium.rate_network import RateNetwork

SELECTION_SETS = 12
"""Parameter sets at ease, and as many preconditioned ones, by which one of several networks is chosen."""

Networks = Mapping[str, tuple[RateNetwork, Domain]]


def _group(name: str) -> str:
    """``net5`` of ``net5_2``."""
    return name.rpartition("_")[0]


def selection_errors(networks: Networks, seed: int, dt_s: float, spacing_um: float) -> dict[str, dict[str, float]]:
    """Mean NRMSE of cytosolic calcium in closed loop, by number of unknowns (``net5``) and network.

    Only where there are several, on parameter sets that neither training nor any evaluation knows: a loss on courses
    does not tell which network carries a wave best.
    """
    groups: dict[str, list[str]] = {}
    for name in networks:
        if name != WAVES_ONLY:
            groups.setdefault(_group(name), []).append(name)
    groups = {group: names for group, names in groups.items() if len(names) > 1}
    if not groups:
        return {}
    cases = draw_heldout_cases(seed, SELECTION_SETS, SELECTION_SETS)
    expected, reference = simulate_heldout(cases, None, dt_s=dt_s, spacing_um=spacing_um)

    def error(name: str) -> float:
        found, run = simulate_heldout(cases, network_make(networks[name]), dt_s=dt_s, spacing_um=spacing_um)
        _, traces = heldout_errors(expected, reference.traces[..., 0], found, run.traces[..., 0])
        return float(traces.max(axis=1).mean())

    return {group: {name: error(name) for name in names} for group, names in groups.items()}


def chosen_networks(networks: Networks, errors: Mapping[str, Mapping[str, float]]) -> dict[str, str]:
    """By number of unknowns the network that stands for it: the only one, or that of the least error in selection."""
    only = {_group(name): name for name in networks if name != WAVES_ONLY and _group(name) not in errors}
    return only | {group: min(own, key=own.__getitem__) for group, own in errors.items()}


def chosen_first(networks: Networks, chosen: Mapping[str, str]) -> dict[str, tuple[RateNetwork, Domain]]:
    """The networks, numbered anew with the chosen one of each number of unknowns as 0 and the others in their order."""
    ranked = {}
    for group, name in chosen.items():
        others = [other for other in networks if _group(other) == group and other not in (name, WAVES_ONLY)]
        ranked |= {f"{group}_{k}": networks[own] for k, own in enumerate([name, *others])}
    return ranked | {name: networks[name] for name in networks if name == WAVES_ONLY}
