"""Ways of choosing training profiles, compared at equal number, and the pool that active learning chooses from.

A way sees the training impacts alone. It chooses anew for every number of profiles, because the threshold of the
adaptive one depends on it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from understudy.axon.config import Sampling
from understudy.axon.files import Strain
from understudy.axon.sampling import Candidates, joined, random_candidates, select_training, stratified_candidates

MIXED = "mixed"
"""The study's own way: its method for a part of the profiles, the rest at random over voxels."""

RANDOM = "random"
WAYS = (MIXED, "stratified_adaptive", RANDOM, "kmeans")

# Random candidates in the pool of active learning, for each profile that it chooses at most.
_POOL_SHARE = 10


@dataclass(frozen=True)
class TrainingStrain:
    """What is chosen from: histories of all impacts, the training ones' candidates, settings and root seed."""

    strain: Strain
    settings: Sampling
    seed: int
    stratified: Candidates

    @property
    def impacts(self) -> list[int]:
        """Numbers of the training impacts."""
        return self.strain.impacts("training")

    @property
    def largest(self) -> int:
        """The largest number of profiles that every way can choose: one for each stratum."""
        return len(self.stratified.voxel)


def training_strain(strain: Strain, settings: Sampling, seed: int) -> TrainingStrain:
    """The candidates of the training impacts, read once.

    Raises
    ------
    InputError
        If no voxel of these impacts reaches the least peak.
    """
    centres = strain.white_matter.centre_mm
    impacts = strain.impacts("training")
    found = stratified_candidates(strain.strain, strain.peak, impacts, centres, settings, seed)
    return TrainingStrain(strain, settings, seed, found)


def choose_by(way: str, source: TrainingStrain, count: int) -> Candidates:
    """``count`` training profiles by one of `WAYS`; the mixed one as `understudy.axon.profile_selection` does it.

    Raises
    ------
    InputError
        If there are fewer candidates than ``count``.
    """
    settings = source.settings
    if way != MIXED:
        settings = settings.model_copy(update={"method": way, "random_share": 0.0})
    free = source.strain.peak.copy()
    by_method = 0 if settings.method == RANDOM else count - round(settings.random_share * count)
    parts = []
    if by_method:
        wanted = settings.model_copy(update={"training_profiles": by_method})
        selection = select_training(source.stratified, wanted, source.seed)
        parts.append(source.stratified.take(selection.rows))
        # What the method took cannot be drawn again.
        free[parts[0].impact, parts[0].voxel] = -np.inf
    if count > by_method:
        parts.append(_drawn(source, free, count - by_method))
    return joined(parts)


def _drawn(source: TrainingStrain, free: np.ndarray, count: int) -> Candidates:
    strain = source.strain
    centres = strain.white_matter.centre_mm
    return random_candidates(strain.strain, free, source.impacts, centres, count, source.settings, source.seed)


def active_pool(source: TrainingStrain, initial: Candidates, largest: int) -> Candidates:
    """Initial profiles first, then one voxel of each stratum, then random ones; no voxel of an impact twice.

    Parameters
    ----------
    largest : number of profiles chosen in the end; the random part is ten times that where there are so many.
    """
    free = source.strain.peak.copy()
    free[initial.impact, initial.voxel] = -np.inf
    stratified = source.stratified
    stratified = stratified.take(np.flatnonzero(np.isfinite(free[stratified.impact, stratified.voxel])))
    free[stratified.impact, stratified.voxel] = -np.inf
    available = int((free[source.impacts] >= source.settings.min_peak_strain).sum())
    return joined([initial, stratified, _drawn(source, free, min(_POOL_SHARE * largest, available))])
