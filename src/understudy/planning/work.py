"""What a rule has to do under a configuration, in amounts of work, before any seconds or megabytes.

A study says in its ``costs.py`` what its rules do (`Work`); what an amount costs was measured and stands in
``measured/<study>.json``, see `understudy.planning.costs`. Amounts are plain numbers: this module and the studies'
``costs.py`` import nothing heavy, because the workflow reads them each time it is parsed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

Amounts = Mapping[str, float]


@dataclass(frozen=True)
class Work:
    """What one job does.

    Attributes
    ----------
    rule : name of its benchmark file without the study, such as ``simulate_axons``.
    program : that it runs, where it has another name; then ``folder``, below the study, has its results.
    after : rules of the same study whose results it reads.
    serial : amounts of work on one core; for a farmed rule what the first rank does beside the farm.
    farmed : amounts of work that MPI ranks share; None for a rule without ranks.
    blocks : units that ranks claim, at least 1: no more ranks than this can work.
    longest : work of the longest block over that of a mean one, at least 1.
    threads : cores of a rule without ranks.
    memory : amounts that its memory (of one rank) grows with.
    disk : amounts that its results grow with.
    resumes : keeps finished parts when it is killed, so that a later record tells only of the rest.
    network : trains or runs a neural network on the configured device.
    """

    rule: str
    after: tuple[str, ...] = ()
    serial: Amounts = field(default_factory=dict)
    farmed: Amounts | None = None
    blocks: int = 1
    longest: float = 1.0
    threads: int = 1
    memory: Amounts = field(default_factory=dict)
    disk: Amounts = field(default_factory=dict)
    resumes: bool = False
    network: bool = False
    program: str = ""
    folder: str = ""


def blocks_of(cases: float, size: int) -> int:
    """Number of blocks of ``size`` cases."""
    return max(1, math.ceil(cases / size))
