"""The sets of cases of the study: which split, from which placements, how many of each cell, with which pulses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from understudy.tms.config import Pulses


@dataclass(frozen=True)
class Wanted:
    """One set of cases: its split and subset, the role of its placements, cases per cell, and its pulses.

    ``populations``: clones of a type share positions, each with several azimuths.
    """

    split: str
    subset: str
    role: str
    count: int
    pulses: tuple[int, ...]
    shares: tuple[float, ...]
    populations: bool


def wanted_sets(sampling: Mapping[str, Any], pulses: Pulses) -> list[Wanted]:
    """All sets in the order of their case numbers."""
    others = len(pulses.others)
    share = pulses.others_share if others else 0.0
    trained = (1 - share, *(share / others for _ in range(others)))
    every = tuple(range(1 + others))
    unseen = 1 + others
    return [
        Wanted("training", "sampled", "training", sampling["training"], every, trained, False),
        Wanted("calibration", "random", "calibration", sampling["calibration"], (0,), (1.0,), False),
        Wanted("heldout", "random", "heldout", sampling["heldout"], (0,), (1.0,), True),
        Wanted("heldout", "second_head", "second_head", sampling["second_head"], (0,), (1.0,), True),
        Wanted("heldout", "unseen_pulse", "heldout", sampling["unseen_pulse"], (unseen,), (1.0,), False),
    ]


def shares_of(count: int, parts: int) -> list[int]:
    """``count`` in ``parts`` as even as can be."""
    return [count * (part + 1) // parts - count * part // parts for part in range(parts)]
