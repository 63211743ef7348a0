"""Sampling of fibre strain profiles: the bounded search against an exhaustive one, and the methods at equal number.

    python benchmarks/sampling.py               seconds: 8 impacts, voxels of 4 mm, 300 profiles
    python benchmarks/sampling.py --published   minutes: 36 impacts, voxels of 2 mm, 2,000 profiles

The histories are artificial (damped modes, smooth in space, random per impact), on the white matter of the template.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numba
import numpy as np

from understudy.axon.config import Sampling
from understudy.axon.profile_distance import lower_to_nearest, overlap_norms
from understudy.axon.sampling import (
    nearest_distance,
    random_candidates,
    select_adaptive,
    select_kmeans,
    select_worst_case,
    stratified_candidates,
)
from understudy.axon.white_matter import white_matter_voxels

SAMPLES = 101
HELDOUT = 5
SEED = 1
ROUNDS = 5
MODES = 4


class ArtificialStrain:
    """Histories (voxel, time) per impact, made when they are read, as a file would give them."""

    def __init__(self, centre_mm: np.ndarray):
        self._place = centre_mm / 80.0

    def __getitem__(self, impact: int) -> np.ndarray:
        rng = np.random.default_rng(impact)
        size, rise = rng.lognormal(np.log(0.05), 0.5), rng.uniform(8, 25)
        time_ms = np.arange(SAMPLES, dtype=np.float32)
        strain = np.zeros((len(self._place), SAMPLES), dtype=np.float32)
        for _ in range(MODES):
            wave, delay_wave = rng.normal(0, 2, (2, 3))
            share = np.sin(self._place @ wave + rng.uniform(0, 6)) * size * rng.uniform(0.2, 0.8)
            delay = 0.3 * rise * (1 + 0.6 * np.sin(self._place @ delay_wave))
            since = np.maximum(time_ms - delay[:, None].astype(np.float32), 0)
            shape = np.sin(np.pi * since / rng.uniform(15, 45)) * np.exp(-since / rng.uniform(15, 50))
            strain += share[:, None].astype(np.float32) * shape
        return strain


@numba.njit(error_model="numpy", fastmath={"contract", "reassoc"})
def _exhaustive(profiles, references, max_lag, squared):
    """What `lower_to_nearest` finds, by every distance in full."""
    samples = profiles.shape[1]
    for i in range(len(profiles)):
        for j in range(len(references)):
            for lag in range(-max_lag, max_lag + 1):
                p_start, q_start = max(lag, 0), max(-lag, 0)
                total = np.float32(0.0)
                for k in range(samples - abs(lag)):
                    difference = profiles[i, p_start + k] - references[j, q_start + k]
                    total += difference * difference
                squared[i] = min(squared[i], total / np.float32(samples - abs(lag)))


def compare_searches(profiles: np.ndarray, references: np.ndarray, lag: int) -> None:
    """Both searches interleaved; the ratio of times and the largest difference of what they find."""
    found = {}

    def bounded() -> None:
        squared = np.full(len(profiles), np.inf, dtype=np.float32)
        norms = overlap_norms(profiles, lag), overlap_norms(references, lag)
        lower_to_nearest(profiles, norms[0], references, norms[1], lag, squared)
        found["bounded"] = np.sqrt(squared)

    def exhaustive() -> None:
        squared = np.full(len(profiles), np.inf, dtype=np.float32)
        _exhaustive(profiles, references, lag, squared)
        found["exhaustive"] = np.sqrt(squared)

    bounded(), exhaustive()
    ratios, seconds = [], []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        bounded()
        middle = time.perf_counter()
        exhaustive()
        ratios.append((time.perf_counter() - middle) / (middle - start))
        seconds.append(middle - start)
    pairs = len(profiles) * len(references)
    print(
        f"nearest of {len(references):,} references: bounded search {statistics.median(ratios):.1f} times as fast as "
        f"exhaustive (min {min(ratios):.1f}, max {max(ratios):.1f}, {ROUNDS} rounds), "
        f"{statistics.median(seconds) / pairs * 1e9:.0f} ns per pair; "
        f"largest difference {np.abs(found['bounded'] - found['exhaustive']).max():.1e} strain"
    )


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--published", action="store_true", help="published scale")
    published = parser.parse_args().published
    voxel_mm, impacts, count = (2.0, 36, 2000) if published else (4.0, 8, 300)
    settings = Sampling(training_profiles=count)
    centre_mm = white_matter_voxels(voxel_mm, 0.38).centre_mm
    strain = ArtificialStrain(centre_mm)
    training, heldout_impacts = range(impacts), range(impacts, impacts + HELDOUT)
    peak = np.stack([strain[impact].max(axis=1) for impact in range(impacts + HELDOUT)])
    candidates = stratified_candidates(strain, peak, training, centre_mm, settings, SEED)
    heldout = stratified_candidates(strain, peak, heldout_impacts, centre_mm, settings, SEED)

    rng = np.random.default_rng(SEED)
    some = rng.choice(len(heldout.voxel), size=1000, replace=False)
    references = candidates.strain[rng.choice(len(candidates.voxel), size=count, replace=False)]
    compare_searches(heldout.strain[some], references, settings.max_lag_ms)

    select_adaptive(candidates.take(np.arange(1000)), 20, settings, SEED)
    chosen, seconds = {}, {}
    start = time.perf_counter()
    chosen["adaptive"] = candidates.take(select_adaptive(candidates, count, settings, SEED).rows).strain
    seconds["adaptive"] = time.perf_counter() - start
    start = time.perf_counter()
    chosen["k-means"] = candidates.take(select_kmeans(candidates, count, settings, SEED).rows).strain
    seconds["k-means"] = time.perf_counter() - start
    start = time.perf_counter()
    chosen["random"] = random_candidates(strain, peak, training, centre_mm, count, settings, SEED).strain
    seconds["random"] = time.perf_counter() - start
    print(f"{count:,} of {len(candidates.voxel):,} candidates; distance of {len(heldout.voxel):,} held-out candidates:")
    for method, profiles in chosen.items():
        middle, high, most = np.percentile(nearest_distance(heldout.strain, profiles, settings), [50, 95, 100])
        print(
            f"  {method:9} {seconds[method]:6.1f} s   median {middle:.2f}   95th percentile {high:.2f}   max {most:.2f}"
        )
    start = time.perf_counter()
    select_worst_case(heldout, chosen["adaptive"], settings)
    print(f"worst case of {settings.worst_case_profiles}: {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
