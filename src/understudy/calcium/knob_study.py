"""Do the knobs of designed data steer waves: each knob against its outcome, over several trained networks.

A knob passes where its outcome is strictly monotone in each network (Spearman's coefficient 1 or -1), covers a factor
of two, and networks of different seeds differ by less than half a step between neighbouring values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import spearmanr

from understudy.calcium.designed_channel import Knobs
from understudy.calcium.designed_waves import Bench, ChannelOf, wave_outcomes, wave_thresholds

AMPLITUDE, DURATION, THRESHOLD = "amplitude", "duration", "threshold"


@dataclass(frozen=True)
class Sweep:
    """Values of one knob, the others as in ``base``, and the outcome that it is to steer."""

    knob: str
    outcome: str
    low: float
    high: float
    base: Knobs

    def values(self, count: int) -> np.ndarray:
        """``count`` values in equal ratios."""
        return np.geomspace(self.low, self.high, count)

    def knobs(self, count: int) -> list[Knobs]:
        """Knobs at these values."""
        return [replace(self.base, **{self.knob: float(x)}) for x in self.values(count)]


SWEEPS = (
    Sweep("open_max", AMPLITUDE, 0.08, 0.6, Knobs(0.2, 0.03, 0.5)),
    Sweep("inactivation_s", DURATION, 0.004, 0.04, Knobs(0.1, 0.03, 0.5)),
    Sweep("activation_uM", THRESHOLD, 0.4, 1.2, Knobs(0.2, 0.03, 0.5)),
)
"""The judged sweeps (choice: where a wave passes throughout)."""


@dataclass(frozen=True)
class KnobMap:
    """Outcomes of a sweep.

    Attributes
    ----------
    values : (V,) of the knob.
    outcomes : (S, V) by network, in uM, s or uM um/s.
    designed : (V,) of the design itself, without a network.
    """

    sweep: Sweep
    values: np.ndarray
    outcomes: np.ndarray
    designed: np.ndarray

    @property
    def spearman(self) -> float:
        """Spearman's coefficient of the least monotone network, by magnitude; 0 where an outcome is missing."""
        if not np.isfinite(self.outcomes).all():
            return 0.0
        found = [float(spearmanr(self.values, row).statistic) for row in self.outcomes]
        return min(found, key=abs)

    @property
    def span(self) -> float:
        """Largest over smallest outcome, of the network in which that is least."""
        return float((self.outcomes.max(axis=1) / self.outcomes.min(axis=1)).min())

    @property
    def spread_over_half_step(self) -> float:
        """Largest difference between networks at a value over half the step to its nearer neighbour; below 1 passes."""
        steps = np.abs(np.diff(self.outcomes.mean(axis=0)))
        nearer = np.minimum(np.append(steps, np.inf), np.insert(steps, 0, np.inf))
        return float((np.ptp(self.outcomes, axis=0) / (0.5 * nearer)).max())

    @property
    def design_error(self) -> float:
        """Largest relative difference of a network's outcome from the design's."""
        return float(np.abs(self.outcomes / self.designed - 1).max())

    @property
    def passed(self) -> bool:
        """Whether the knob steers its outcome."""
        return abs(self.spearman) > 1 - 1e-12 and self.span >= 2 and self.spread_over_half_step < 1


def sweep_outcomes(
    channel_of: ChannelOf, values: int, bench: Bench, sweeps: Sequence[Sweep] = SWEEPS, bisections: int = 12
) -> np.ndarray:
    """Outcomes (sweeps, V): of waves in one batch for all sweeps, of thresholds by ``bisections`` for each."""
    of_waves = [sweep for sweep in sweeps if sweep.outcome != THRESHOLD]
    rows: dict[str, np.ndarray] = {}
    if of_waves:
        found = wave_outcomes(channel_of, [own for sweep in of_waves for own in sweep.knobs(values)], bench)
        columns = {AMPLITUDE: found.amplitude_uM, DURATION: found.duration_s}
        for number, sweep in enumerate(of_waves):
            rows[sweep.knob] = columns[sweep.outcome][number * values : (number + 1) * values]
    for sweep in sweeps:
        if sweep.outcome == THRESHOLD:
            rows[sweep.knob] = wave_thresholds(channel_of, sweep.knobs(values), bench, bisections=bisections)
    return np.stack([rows[sweep.knob] for sweep in sweeps])


def knob_maps(
    networks: Sequence[ChannelOf], designed: ChannelOf, *, values: int = 8, bench: Bench | None = None,
    sweeps: Sequence[Sweep] = SWEEPS,
) -> list[KnobMap]:  # fmt: skip
    """All sweeps, by networks and by the design itself."""
    bench = bench or Bench()
    found = [sweep_outcomes(own, values, bench, sweeps) for own in (designed, *networks)]
    return assembled_maps(np.stack(found[1:]), found[0], sweeps)


def assembled_maps(networks: np.ndarray, designed: np.ndarray, sweeps: Sequence[Sweep] = SWEEPS) -> list[KnobMap]:
    """Maps from outcomes of S networks (S, sweeps, V) and of the design itself (sweeps, V), as `sweep_outcomes`."""
    return [
        KnobMap(sweep, sweep.values(designed.shape[1]), networks[:, number], designed[number])
        for number, sweep in enumerate(sweeps)
    ]
