"""Choice of the fibre strain profiles that are simulated: stratified adaptive, random, k-means, and the worst case.

Stratified adaptive sampling (after Zhang et al. 2025): every 6 mm cube of every impact is a stratum; strata are visited
in random order, and the stratum's candidate is accepted unless it is nearer than a threshold to one accepted before.
The threshold is bisected until the wanted number is accepted. The distance is `understudy.axon.profile_distance`.

Everything here looks at inputs only. Random choices of an impact depend on the root seed and that impact's number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from understudy.axon.config import Sampling
from understudy.axon.profile_distance import lower_to_nearest, overlap_norms, walk
from understudy.errors import InputError

SAMPLE_MS = 1.0

# Candidates of a stratum. With two, the visit chooses the more novel one; more cost time in proportion.
CANDIDATES_PER_CUBE = 1

# Accepted within this of the wanted number is near enough; the last ones accepted are dropped.
_REACH = 0.02
_BISECTIONS = 40

# Spawn keys of the axon study (0), sampling (2): which random choice is made.
_SPAWN_KEY = (0, 2)
_CANDIDATE, _WALK, _RANDOM, _CLUSTER = range(4)

_CLUSTER_COMPONENTS = 10


@dataclass(frozen=True)
class Candidates:
    """Profiles to choose from.

    Attributes
    ----------
    strain : (n, t) float32 histories at 1 ms.
    impact, voxel : (n,) int64, where each comes from.
    cube : (n,) int64, number of the stratification cube.
    """

    strain: np.ndarray
    impact: np.ndarray
    voxel: np.ndarray
    cube: np.ndarray

    def take(self, rows: np.ndarray) -> Candidates:
        """The candidates ``rows``, in that order."""
        return Candidates(self.strain[rows], self.impact[rows], self.voxel[rows], self.cube[rows])


def joined(parts: Sequence[Candidates]) -> Candidates:
    """Candidates one after the other."""
    names = ("strain", "impact", "voxel", "cube")
    return Candidates(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


@dataclass(frozen=True)
class Selection:
    """A choice out of candidates.

    Attributes
    ----------
    rows : (k,) int64 rows of the candidates.
    threshold : least distance of any two chosen profiles that the choice kept, in strain units; NaN where the method
        has none.
    """

    rows: np.ndarray
    threshold: float


def _generator(seed: int, purpose: int, number: int = 0) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(*_SPAWN_KEY, purpose, number)))


def cube_numbers(centre_mm: np.ndarray, cube_mm: float) -> np.ndarray:
    """Number (v,) of the axis-aligned cube that holds each point (v, 3), counted from 0 in order of x, y, z."""
    _, number = np.unique(np.floor(centre_mm / cube_mm).astype(np.int64), axis=0, return_inverse=True)
    return number.reshape(-1)


def _gathered(strain: Any, picks: Sequence[tuple[int, np.ndarray]], cube: np.ndarray) -> Candidates:
    """Candidates from (impact, voxels) picks; reads one impact at a time."""
    histories = [np.asarray(strain[impact], dtype=np.float32)[voxels] for impact, voxels in picks]
    impact = np.concatenate([np.full(len(voxels), impact, dtype=np.int64) for impact, voxels in picks])
    voxel = np.concatenate([voxels for _, voxels in picks]).astype(np.int64)
    return Candidates(np.concatenate(histories), impact, voxel, cube[voxel])


def stratified_candidates(
    strain: Any,
    peak: np.ndarray,
    impacts: Sequence[int],
    centre_mm: np.ndarray,
    settings: Sampling,
    seed: int,
    per_cube: int = CANDIDATES_PER_CUBE,
) -> Candidates:
    """Up to ``per_cube`` random voxels of each cube of each impact, with a peak of at least ``min_peak_strain``.

    Parameters
    ----------
    strain : (impact, voxel, time), an array or an open HDF5 dataset; read one impact at a time.
    peak : (impact, voxel) largest tensile strain.
    impacts : numbers of the impacts to take.
    centre_mm : (voxel, 3).

    Raises
    ------
    InputError
        If no voxel of these impacts reaches the least peak.
    """
    cube = cube_numbers(centre_mm, settings.cube_mm)
    picks = []
    for impact in impacts:
        order = _generator(seed, _CANDIDATE, impact).permutation(len(cube))
        order = order[peak[impact][order] >= settings.min_peak_strain]
        order = order[np.argsort(cube[order], kind="stable")]
        first = np.flatnonzero(np.diff(cube[order], prepend=-1))
        rank = np.arange(len(order)) - np.repeat(first, np.diff(first, append=len(order)))
        picks.append((impact, order[rank < per_cube]))
    _refuse_none(picks, settings, peak[list(impacts)])
    return _gathered(strain, picks, cube)


def random_candidates(
    strain: Any,
    peak: np.ndarray,
    impacts: Sequence[int],
    centre_mm: np.ndarray,
    count: int,
    settings: Sampling,
    seed: int,
    key: str = "training_profiles",
) -> Candidates:
    """``count`` random voxels with a peak of at least ``min_peak_strain``, the impacts in equal parts.

    Each impact gives the same number (one more for the first ones where it does not divide); what an impact with too
    few voxels cannot give, the others do. ``key`` is the configuration key that an error names.

    Raises
    ------
    InputError
        If these impacts have fewer such voxels than ``count``.
    """
    cube = cube_numbers(centre_mm, settings.cube_mm)
    eligible = [np.flatnonzero(peak[impact] >= settings.min_peak_strain) for impact in impacts]
    available = np.array([len(voxels) for voxels in eligible])
    _refuse_few(count, int(available.sum()), key, settings)
    share = np.zeros(len(available), dtype=np.int64)
    while share.sum() < count:
        open_impacts = np.flatnonzero(share < available)
        each, more = divmod(int(count - share.sum()), len(open_impacts))
        share[open_impacts] += each
        share[open_impacts[:more]] += 1
        share = np.minimum(share, available)
    picks = [
        (impact, np.sort(_generator(seed, _RANDOM, impact).choice(voxels, size=part, replace=False)))
        for impact, voxels, part in zip(impacts, eligible, share, strict=True)
    ]
    return _gathered(strain, picks, cube)


def _refuse_none(picks: Sequence[tuple[int, np.ndarray]], settings: Sampling, peak: np.ndarray) -> None:
    if not any(len(voxels) for _, voxels in picks):
        raise InputError(
            f"sampling.min_peak_strain: found {settings.min_peak_strain:g}, but the largest peak strain is "
            f"{peak.max(initial=0.0):.4f}; accepted is less than that"
        )


def _refuse_few(wanted: int, available: int, key: str, settings: Sampling) -> None:
    if wanted > available:
        raise InputError(
            f"sampling.{key}: found {wanted:,}, accepted are at most {available:,}, the candidates with a peak strain "
            f"of at least {settings.min_peak_strain:g} (sampling.min_peak_strain)"
        )


def _lag_samples(settings: Sampling, samples: int) -> int:
    return min(round(settings.max_lag_ms / SAMPLE_MS), samples - 1)


def nearest_distance(strain: np.ndarray, references: np.ndarray, settings: Sampling) -> np.ndarray:
    """Distance (n,) in strain units of histories (n, t) to the nearest of the references (m, t)."""
    lag = _lag_samples(settings, strain.shape[1])
    profiles = np.ascontiguousarray(strain, dtype=np.float32)
    references = np.ascontiguousarray(references, dtype=np.float32)
    squared = np.full(len(profiles), np.inf, dtype=np.float32)
    lower_to_nearest(profiles, overlap_norms(profiles, lag), references, overlap_norms(references, lag), lag, squared)
    return np.sqrt(squared.astype(float)) / settings.strain_unit


def compressed(strain: np.ndarray, scale: float) -> np.ndarray:
    """Histories with large strains drawn together: ``scale * asinh(strain / scale)``, odd and monotone.

    Below ``scale`` a difference counts as it is, far above it by its ratio. Without it the most different histories are
    nearly all from the severest places, beyond the strain at which an axon's links have failed anyway, and hardly any
    training profile lies where most of the white matter is.
    """
    return (scale * np.arcsinh(strain / scale)).astype(np.float32)


def select_adaptive(candidates: Candidates, count: int, settings: Sampling, seed: int) -> Selection:
    """``count`` candidates by the stratified adaptive pass, the threshold bisected.

    Any two of them are at least ``threshold`` apart as `compressed` histories, and their number is exact: a pass that
    accepts at most 2 % too many is cut to the first ``count`` (should none come that near, the pass with the largest
    threshold that accepts enough is cut).

    Raises
    ------
    InputError
        If there are fewer strata than ``count``.
    """
    _, stratum = np.unique(np.stack([candidates.impact, candidates.cube]), axis=1, return_inverse=True)
    stratum = stratum.reshape(-1)
    n_strata = int(stratum.max(initial=-1)) + 1
    _refuse_few(count, n_strata, "training_profiles", settings)
    visit = _generator(seed, _WALK).permutation(n_strata)[stratum]
    order = np.argsort(visit, kind="stable")
    starts = np.append(np.flatnonzero(np.diff(visit[order], prepend=-1)), len(order))
    profiles = np.ascontiguousarray(compressed(candidates.strain[order], settings.compression_strain))
    lag = _lag_samples(settings, profiles.shape[1])
    norms = overlap_norms(profiles, lag)
    most = int(count * (1 + _REACH))
    accepted = np.empty(n_strata + 1, dtype=np.int64)
    # Two histories are at most the sum of their root mean squares over an overlap apart.
    low, high = 0.0, 2.0 * float(norms.max()) / np.sqrt(profiles.shape[1] - lag) + settings.strain_unit
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        found = walk(profiles, norms, starts, lag, middle, most, accepted)
        if count <= found <= most:
            return Selection(order[accepted[:count]], middle / settings.strain_unit)
        low, high = (middle, high) if found > most else (low, middle)
    found = walk(profiles, norms, starts, lag, low, n_strata, accepted)
    return Selection(order[accepted[:count]], low / settings.strain_unit)


def select_random(candidates: Candidates, count: int, settings: Sampling, seed: int) -> Selection:
    """``count`` random candidates, without replacement."""
    _refuse_few(count, len(candidates.voxel), "training_profiles", settings)
    rows = _generator(seed, _RANDOM).choice(len(candidates.voxel), size=count, replace=False)
    return Selection(rows.astype(np.int64), float("nan"))


def select_kmeans(candidates: Candidates, count: int, settings: Sampling, seed: int) -> Selection:
    """The candidate nearest to each of ``count`` k-means centres of the histories' leading principal components.

    A candidate is taken once: centres are served in order, and one whose nearest candidate is gone takes its next.
    """
    # Imported here: loading scikit-learn takes a second, and the other ways of sampling need none of it.
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.decomposition import PCA

    _refuse_few(count, len(candidates.voxel), "training_profiles", settings)
    samples = candidates.strain.shape[1]
    components = min(_CLUSTER_COMPONENTS, samples, len(candidates.voxel))
    state = int(_generator(seed, _CLUSTER).integers(2**31))
    scores = PCA(components, svd_solver="covariance_eigh").fit_transform(candidates.strain.astype(np.float64))
    clusters = MiniBatchKMeans(count, init="random", n_init=1, batch_size=4096, max_iter=20, random_state=state)
    centres = clusters.fit(scores).cluster_centers_
    free = np.ones(len(scores), dtype=bool)
    rows = np.empty(count, dtype=np.int64)
    squares = (scores**2).sum(axis=1)
    for k, centre in enumerate(centres):
        distance = squares - 2.0 * (scores @ centre)
        distance[~free] = np.inf
        rows[k] = distance.argmin()
        free[rows[k]] = False
    return Selection(rows, float("nan"))


def select_training(candidates: Candidates, settings: Sampling, seed: int) -> Selection:
    """``settings.training_profiles`` candidates by ``settings.method``.

    Hand over `stratified_candidates` for the stratified adaptive and the k-means method. Random sampling draws from
    whatever it is given: `random_candidates` of the same number makes it random over voxels.
    """
    methods = {"stratified_adaptive": select_adaptive, "random": select_random, "kmeans": select_kmeans}
    return methods[settings.method](candidates, settings.training_profiles, settings, seed)


def select_worst_case(candidates: Candidates, training_strain: np.ndarray, settings: Sampling) -> Selection:
    """The ``settings.worst_case_profiles`` candidates of a held-out impact farthest from the training profiles.

    Greedy farthest points in the distance of `select_adaptive`, that of `compressed` histories: each one chosen counts
    as known for the next, so that the set is not one place many times. (In plain strain the farthest are the most
    severe ones alone, whose links have all failed.) From inputs only.

    Raises
    ------
    InputError
        If there are fewer candidates than wanted.
    """
    count = settings.worst_case_profiles
    _refuse_few(count, len(candidates.voxel), "worst_case_profiles", settings)
    lag = _lag_samples(settings, candidates.strain.shape[1])
    profiles = np.ascontiguousarray(compressed(candidates.strain, settings.compression_strain))
    training = np.ascontiguousarray(compressed(training_strain, settings.compression_strain))
    norms = overlap_norms(profiles, lag)
    squared = np.full(len(profiles), np.inf, dtype=np.float32)
    lower_to_nearest(profiles, norms, training, overlap_norms(training, lag), lag, squared)
    rows = np.empty(count, dtype=np.int64)
    least = np.inf
    for k in range(count):
        rows[k] = squared.argmax()
        least = min(least, float(np.sqrt(squared[rows[k]])))
        lower_to_nearest(profiles, norms, profiles[rows[k : k + 1]], norms[rows[k : k + 1]], lag, squared)
        squared[rows[k]] = -1.0
    return Selection(rows, least / settings.strain_unit)


def selection_digest(profiles: Candidates) -> str:
    """SHA-256 of a chosen set: impact and voxel numbers and histories, in order, little-endian."""
    digest = hashlib.sha256()
    for values, kind in ((profiles.impact, "<i8"), (profiles.voxel, "<i8"), (profiles.strain, "<f4")):
        digest.update(str(values.shape).encode())
        digest.update(np.ascontiguousarray(values, dtype=kind).tobytes())
    return digest.hexdigest()
