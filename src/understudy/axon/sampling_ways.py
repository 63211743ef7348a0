"""Ways of choosing training profiles: the study's own, those it is compared with, and the pool of active learning.

A way sees the training impacts alone. It chooses anew for every number of profiles, because the threshold of the
adaptive one depends on it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from understudy.axon.config import Sampling
from understudy.axon.files import Strain
from understudy.axon.sampling import Candidates, joined, random_candidates, select_training, stratified_candidates

MIXED = "mixed"
"""The study's own way: a part of the profiles by its method, a part by k-means, a part at random over voxels."""

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


@dataclass(frozen=True)
class Choice:
    """Profiles chosen by a mixture of methods.

    Attributes
    ----------
    profiles : in the order of the methods.
    counts : method -> number of its profiles.
    threshold : of the adaptive method, in strain units; NaN where it has none.
    """

    profiles: Candidates
    counts: dict[str, int]
    threshold: float


def choose_mixed(source: TrainingStrain, count: int) -> Choice:
    """``count`` training profiles as the settings say: their method first, then k-means, then random over voxels.

    Each part chooses from what the parts before it left: no voxel of an impact is taken twice.

    Raises
    ------
    InputError
        If there are fewer candidates than ``count``.
    """
    settings, stratified = source.settings, source.stratified
    wanted = {"kmeans": round(settings.kmeans_share * count), RANDOM: round(settings.random_share * count)}
    by_method = count - sum(wanted.values())
    wanted = {name: number + by_method * (name == settings.method) for name, number in wanted.items()}
    if settings.method not in wanted:
        wanted = {settings.method: by_method, **wanted}
    free = source.strain.peak.copy()
    parts, threshold = [], float("nan")
    counts = {name: number for name, number in wanted.items() if number}
    for name, number in counts.items():
        if name == RANDOM:
            parts.append(_drawn(source, free, number))
        else:
            left = stratified.take(np.flatnonzero(np.isfinite(free[stratified.impact, stratified.voxel])))
            these = settings.model_copy(update={"method": name, "training_profiles": number})
            selection = select_training(left, these, source.seed)
            parts.append(left.take(selection.rows))
            threshold = threshold if np.isnan(selection.threshold) else selection.threshold
        free[parts[-1].impact, parts[-1].voxel] = -np.inf
    return Choice(joined(parts), counts, threshold)


def choose_by(way: str, source: TrainingStrain, count: int) -> Candidates:
    """``count`` training profiles by one of `WAYS`; the mixed one is `choose_mixed` with the study's own settings.

    Raises
    ------
    InputError
        If there are fewer candidates than ``count``.
    """
    if way != MIXED:
        alone = source.settings.model_copy(update={"method": way, "kmeans_share": 0.0, "random_share": 0.0})
        source = replace(source, settings=alone)
    return choose_mixed(source, count).profiles


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
