"""Which section of an arbour branches from which, and how long each is: a tree without places in space.

The number of sections and the lengths are given; chance decides who gets which. Lengths are exchanged between sections
until the paths from the soma to the terminals are as asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np

_SWAPS_PER_SECTION, _MOST_SWAPS = 12, 2500
# Sum of squared log ratios of three path quantiles that is good enough: about 2 % each.
_ENOUGH = 1e-3
_SHORTEST_um = 2.0
# A tail of lengths may not fall off faster than this share of the upper quartile.
_SHORTEST_TAIL = 0.1


@dataclass(frozen=True)
class BranchingPlan:
    """S sections, parents before children.

    Attributes
    ----------
    parent : (S,) int64, -1 for stems.
    trunk : (S,) bool, sections of the main stem.
    leaves : (S,) int64, terminals at or behind each section.
    side : (S,) int64, which stem or side tree a section belongs to, -1 on the trunk; a trunk's own end tree has the
    last number.
    length : (S,) um.
    """

    parent: np.ndarray
    trunk: np.ndarray
    leaves: np.ndarray
    side: np.ndarray
    length: np.ndarray

    @property
    def terminal(self) -> np.ndarray:
        """(S,) bool, sections without children."""
        return self.leaves == 1


def trunk_topology(
    side_leaves: Sequence[int], end_leaves: int, balance: float, generator: np.random.Generator
) -> tuple:
    """A main stem with a side tree after each of its sections but the last, which ends in a tree of its own.

    Parameters
    ----------
    side_leaves : terminals of each side tree, from the soma outwards.
    end_leaves : terminals behind the trunk's last section; 1 makes it a terminal itself.
    balance : both parameters of the beta distribution of a branching's shares; 1 is uniform, more is more even.

    Returns
    -------
    parent (S,), trunk (S,), leaves (S,), side (S,).
    """
    parent, trunk, leaves = [], [], []
    remaining, before = sum(side_leaves) + end_leaves, -1
    sides = []
    for count in [*side_leaves, 0]:
        parent.append(before)
        trunk.append(True)
        leaves.append(remaining)
        before = len(parent) - 1
        if count:
            sides.append((before, count))
            remaining -= count
    if end_leaves > 1:
        one = _share(end_leaves, balance, generator)
        sides += [(before, one), (before, end_leaves - one)]
    side = [-1] * len(trunk)
    for number, (place, count) in enumerate(sides):
        _add_tree(place, count, balance, parent, leaves, generator)
        side += [min(number, len(side_leaves))] * (len(parent) - len(side))
    return np.array(parent), np.arange(len(parent)) < len(trunk), np.array(leaves), np.array(side)


def stem_topology(stems: int, total_leaves: int, balance: float, generator: np.random.Generator) -> tuple:
    """Several stems that share the terminals: parent (S,), trunk (S,) all False, leaves (S,), side (S,)."""
    shares = 1 + generator.multinomial(total_leaves - stems, generator.dirichlet(np.full(stems, 4.0)))
    parent: list[int] = []
    leaves: list[int] = []
    side: list[int] = []
    for number, count in enumerate(shares):
        _add_tree(-1, int(count), balance, parent, leaves, generator)
        side += [number] * (len(parent) - len(side))
    return np.array(parent), np.zeros(len(parent), dtype=bool), np.array(leaves), np.array(side)


def _add_tree(
    place: int, count: int, balance: float, parent: list[int], leaves: list[int], generator: np.random.Generator
) -> None:
    """A random binary tree with ``count`` terminals behind section ``place``, in preorder."""
    waiting = [(place, count)]
    while waiting:
        before, size = waiting.pop()
        parent.append(before)
        leaves.append(size)
        if size > 1:
            here = len(parent) - 1
            one = _share(size, balance, generator)
            waiting += [(here, one), (here, size - one)]


def _share(size: int, balance: float, generator: np.random.Generator) -> int:
    """The terminals of one daughter, 1 ... size - 1."""
    return 1 + int(generator.binomial(size - 2, generator.beta(balance, balance))) if size > 2 else 1


def section_lengths(
    topology: tuple,
    trunk_lengths: np.ndarray,
    inner_quartiles: Sequence[float],
    terminal_quartiles: Sequence[float],
    total_um: float,
    path_quantiles: Sequence[float],
    side_reach_um: float,
    generator: np.random.Generator,
) -> BranchingPlan:
    """Lengths with given quartiles, whose sum and whose paths to the terminals come near what is asked.

    Parameters
    ----------
    topology : of `trunk_topology` or `stem_topology`.
    trunk_lengths : (T,) um of the trunk's sections; those are kept.
    inner_quartiles, terminal_quartiles : 25, 50 and 75 percentiles of lengths of branching and terminal sections, um.
    total_um : sum over all sections; the upper quarter of the lengths is stretched to meet it.
    path_quantiles : 10, 50 and 90 percentiles of paths to terminals, um.
    side_reach_um : path from where a side tree leaves the trunk to its terminals that is rather not passed.
    """
    parent, trunk, leaves, side = topology
    length = np.zeros(len(parent))
    length[: len(trunk_lengths)] = trunk_lengths
    free = ~trunk
    inner, terminal = np.flatnonzero(free & (leaves > 1)), np.flatnonzero(free & (leaves == 1))
    one, one_tail = _strata(len(inner), inner_quartiles, generator)
    other, other_tail = _strata(len(terminal), terminal_quartiles, generator)
    missing = total_um - length.sum() - one.sum() - other.sum()
    stretch = max(missing / max(one_tail.sum() + other_tail.sum(), 1e-9), _SHORTEST_TAIL)
    length[inner] = generator.permutation(one + stretch * one_tail)
    length[terminal] = generator.permutation(other + stretch * other_tail)
    swaps = min(_SWAPS_PER_SECTION * len(parent), _MOST_SWAPS)
    pairs = []
    for group in (inner, terminal):
        if len(group) > 1:
            pairs.append(generator.choice(group, size=(swaps * len(group) // len(parent) + 1, 2)))
    if pairs:
        mixed = generator.permutation(np.concatenate(pairs))
        _exchange(parent, leaves == 1, side, length, mixed, np.asarray(path_quantiles, dtype=float), side_reach_um)
    return BranchingPlan(parent, trunk, leaves, side, length)


def _strata(count: int, quartiles: Sequence[float], generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """One length from each of ``count`` equally likely parts of the distribution, and what a unit of tail adds.

    The distribution is linear between quartiles and beyond the upper one, where an exponential tail would give branches
    that leave the cortex.
    """
    if count == 0:
        return np.zeros(0), np.zeros(0)
    p = (np.arange(count) + generator.uniform(size=count)) / count
    low = min(_SHORTEST_um, 0.5 * quartiles[0])
    length = np.interp(p, (0.0, 0.25, 0.5, 0.75), (low, *quartiles))
    return length, quartiles[2] * np.maximum(p - 0.75, 0.0) * 8.0


@numba.njit(cache=True)
def _path_error(parent, terminal, side, length, path, beside, ends, target, side_reach):
    """Sum of squared log ratios of the path quantiles to their targets, and of what side trees reach too far."""
    count = 0
    error = 0.0
    for i in range(len(parent)):
        before = parent[i]
        path[i] = length[i] + (path[before] if before >= 0 else 0.0)
        beside[i] = (length[i] + (beside[before] if before >= 0 else 0.0)) if side[i] >= 0 else 0.0
        if terminal[i]:
            ends[count] = path[i]
            count += 1
            error += max(beside[i] / side_reach - 1.0, 0.0) ** 2
    ends.sort()
    for k, p in enumerate((0.1, 0.5, 0.9)):
        place = p * (count - 1)
        j = int(place)
        value = ends[j] + (place - j) * (ends[min(j + 1, count - 1)] - ends[j])
        error += np.log(value / target[k]) ** 2
    return error


@numba.njit(cache=True)
def _exchange(parent, terminal, side, length, pairs, target, side_reach):
    """Exchange the lengths of pairs of sections wherever that brings the paths nearer to what is asked."""
    path, beside, ends = np.empty(len(parent)), np.empty(len(parent)), np.empty(terminal.sum())
    best = _path_error(parent, terminal, side, length, path, beside, ends, target, side_reach)
    for k in range(len(pairs)):
        i, j = pairs[k, 0], pairs[k, 1]
        length[i], length[j] = length[j], length[i]
        error = _path_error(parent, terminal, side, length, path, beside, ends, target, side_reach)
        if error < best:
            best = error
        else:
            length[i], length[j] = length[j], length[i]
        if best < _ENOUGH:
            break
    return best
