"""Which profiles of a run are simulated: every set from its own impacts, the held-out ones from inputs only."""

from __future__ import annotations

import numpy as np

from understudy.axon.config import Sampling
from understudy.axon.files import Samples, Strain
from understudy.axon.sampling import (
    Candidates,
    random_candidates,
    select_worst_case,
    selection_digest,
    stratified_candidates,
)
from understudy.axon.sampling_ways import choose_mixed, training_strain

# How the parts of a mixture are called.
WORDS = {"stratified_adaptive": "stratified adaptive", "kmeans": "k-means", "random": "random over voxels"}


def choose_profiles(strain: Strain, settings: Sampling, seed: int) -> Samples:
    """Training, calibration, random held-out and worst-case profiles.

    Parameters
    ----------
    strain : histories of all impacts with their roles; held-out impacts are not looked at before the training set is
        chosen.
    settings : numbers and method.
    seed : root seed.

    Raises
    ------
    InputError
        If a set cannot be filled; the key is named.
    """
    centres = strain.white_matter.centre_mm
    calibration, heldout = strain.impacts("calibration"), strain.impacts("heldout")

    def drawn(impacts: list[int], count: int, key: str) -> Candidates:
        return random_candidates(strain.strain, strain.peak, impacts, centres, count, settings, seed, key)

    choice = choose_mixed(training_strain(strain, settings, seed), settings.training_profiles)
    chosen = choice.profiles
    method = settings.method.replace("_", " ")
    if len(choice.counts) > 1:
        method = ", ".join(f"{count} {WORDS[name]}" for name, count in choice.counts.items())
    # The published worst case is that of one held-out impact; the first one plays its part.
    candidates = stratified_candidates(strain.strain, strain.peak, heldout[:1], centres, settings, seed)
    worst = candidates.take(select_worst_case(candidates, chosen.strain, settings).rows)
    sets = [
        ("training", "sampled", chosen),
        ("calibration", "random", drawn(calibration, settings.calibration_profiles, "calibration_profiles")),
        ("heldout", "random", drawn(heldout, settings.heldout_profiles, "heldout_profiles")),
        ("heldout", "worst_case", worst),
    ]
    counts = [len(profiles.voxel) for _, _, profiles in sets]
    return Samples(
        strain=np.concatenate([profiles.strain for _, _, profiles in sets]),
        impact=np.concatenate([profiles.impact for _, _, profiles in sets]),
        voxel=np.concatenate([profiles.voxel for _, _, profiles in sets]),
        split=np.repeat([split for split, _, _ in sets], counts),
        subset=np.repeat([subset for _, subset, _ in sets], counts),
        labels=strain.label,
        sample_ms=strain.sample_ms,
        worst_case_sha256=selection_digest(worst),
        method=method,
        threshold=choice.threshold,
        field_source=strain.field_source,
    )
