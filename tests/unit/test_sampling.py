"""Sampling: the distance against its definition, the promises of each method, and its refusals."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from understudy.axon.config import Sampling
from understudy.axon.profile_distance import overlap_norms, walk
from understudy.axon.sampling import (
    Candidates,
    cube_numbers,
    nearest_distance,
    random_candidates,
    select_adaptive,
    select_kmeans,
    select_training,
    select_worst_case,
    selection_digest,
    stratified_candidates,
)
from understudy.errors import InputError

SEED = 7
SAMPLES = 61
LAG = 5
SETTINGS = Sampling(training_profiles=60, worst_case_profiles=12, max_lag_ms=LAG, strain_unit=0.01)


def histories(n: int, seed: int) -> np.ndarray:
    """Pulses (n, SAMPLES) of various sizes, widths and onsets."""
    rng = np.random.default_rng(seed)
    t = np.arange(SAMPLES)
    onset, width = rng.uniform(0, 25, (n, 1)), rng.uniform(8, 30, (n, 1))
    phase = np.clip((t - onset) / width, 0, 1)
    shape = np.sin(np.pi * phase) + rng.uniform(-0.3, 0.3, (n, 1)) * np.sin(2 * np.pi * phase)
    return (rng.lognormal(-3.2, 0.7, (n, 1)) * shape).astype(np.float32)


@pytest.fixture(scope="module")
def strain() -> np.ndarray:
    """(impact, voxel, time) of 6 impacts and 8 x 8 x 8 voxels of 3 mm, so 64 cubes of 6 mm."""
    return np.stack([histories(512, seed) for seed in range(6)])


@pytest.fixture(scope="module")
def centre_mm() -> np.ndarray:
    return np.argwhere(np.ones((8, 8, 8))) * 3.0 + 1.5


@pytest.fixture(scope="module")
def candidates(strain, centre_mm) -> Candidates:
    return stratified_candidates(strain, strain.max(axis=2), range(4), centre_mm, SETTINGS, SEED)


def distance(p: np.ndarray, q: np.ndarray) -> float:
    """The definition, in float64: the least RMS over the overlap, lag by lag."""
    p, q = p.astype(float), q.astype(float)
    roots = []
    for lag in range(-LAG, LAG + 1):
        a, b = (p[lag:], q[: len(q) - lag]) if lag >= 0 else (p[:lag], q[-lag:])
        roots.append(np.sqrt(np.mean((a - b) ** 2)))
    return min(roots) / SETTINGS.strain_unit


def distances(profiles: np.ndarray, references: np.ndarray) -> np.ndarray:
    return np.array([[distance(p, q) for q in references] for p in profiles])


# float32 sums of 61 squares keep more than five digits.
CLOSE = {"rtol": 1e-4, "atol": 1e-4}


def test_the_search_finds_the_distance_of_the_definition():
    profiles, references = histories(40, 10), histories(30, 11)
    exact = distances(profiles, references)
    assert np.allclose(nearest_distance(profiles, references, SETTINGS), exact.min(axis=1), **CLOSE)
    for k in range(3):
        assert np.allclose(nearest_distance(profiles, references[k : k + 1], SETTINGS), exact[:, k], **CLOSE)


def test_the_distance_is_symmetric():
    p, q = histories(2, 12)
    one, other = nearest_distance(p[None], q[None], SETTINGS), nearest_distance(q[None], p[None], SETTINGS)
    assert one == pytest.approx(other, rel=1e-6) and one > 0.1


@pytest.mark.parametrize(("shift", "forgiven"), [(0, True), (3, True), (-5, True), (8, False)])
def test_a_shift_within_the_lag_is_forgiven(shift, forgiven):
    pulse = np.zeros(SAMPLES, dtype=np.float32)
    pulse[20:40] = 0.05 * np.sin(np.linspace(0, np.pi, 20))
    found = nearest_distance(np.roll(pulse, shift)[None], pulse[None], SETTINGS)[0]
    assert (found == 0) if forgiven else (found > 0.3)


def test_one_unit_is_an_rms_of_one_percent_strain():
    level = np.full((1, SAMPLES), 0.03, dtype=np.float32)
    assert nearest_distance(level, level - np.float32(0.01), SETTINGS)[0] == pytest.approx(1.0, rel=1e-5)


def test_a_pass_follows_its_rule_step_by_step():
    profiles = histories(120, 13)
    starts = np.arange(0, 121, 3)  # 40 strata of three
    threshold = 0.6
    accepted = np.empty(41, dtype=np.int64)
    count = walk(profiles, overlap_norms(profiles, LAG), starts, LAG, threshold * 0.01, 40, accepted)
    exact = distances(profiles, profiles)
    expected: list[int] = []
    for first in starts[:-1]:
        nearest = [exact[i, expected].min(initial=np.inf) for i in range(first, first + 3)]
        if max(nearest) >= threshold:
            expected.append(first + int(np.argmax(nearest)))
    assert 5 < len(expected) < 40
    assert accepted[:count].tolist() == expected


def test_strata_give_one_eligible_voxel_per_cube_and_impact(strain, centre_mm, candidates):
    strata = set(zip(candidates.impact.tolist(), candidates.cube.tolist(), strict=True))
    assert len(strata) == len(candidates.voxel)
    assert set(candidates.impact) == {0, 1, 2, 3}
    assert np.array_equal(candidates.strain, strain[candidates.impact, candidates.voxel])
    assert (candidates.strain.max(axis=1) >= SETTINGS.min_peak_strain).all()
    assert np.array_equal(candidates.cube, cube_numbers(centre_mm, 6.0)[candidates.voxel])
    assert candidates.cube.max() == 63


def test_several_candidates_per_cube(strain, centre_mm):
    found = stratified_candidates(strain, strain.max(axis=2), [0], centre_mm, SETTINGS, SEED, per_cube=3)
    _, counts = np.unique(found.cube, return_counts=True)
    assert counts.max() == 3 and len(set(found.voxel)) == len(found.voxel)


def test_candidates_of_an_impact_do_not_depend_on_the_others(strain, centre_mm, candidates):
    alone = stratified_candidates(strain, strain.max(axis=2), [2], centre_mm, SETTINGS, SEED)
    assert np.array_equal(alone.voxel, candidates.voxel[candidates.impact == 2])


def test_a_file_gives_the_same_as_an_array(tmp_path, strain, centre_mm, candidates):
    with h5py.File(tmp_path / "strain.h5", "w") as file:
        file.create_dataset("strain", data=strain, chunks=(1, 128, SAMPLES))
        found = stratified_candidates(file["strain"], strain.max(axis=2), range(4), centre_mm, SETTINGS, SEED)
    assert selection_digest(found) == selection_digest(candidates)


@pytest.mark.parametrize("count", [20, 60, 117, 250])
def test_adaptive_sampling_reaches_the_exact_number_and_keeps_its_threshold(candidates, count):
    assert len(candidates.voxel) >= 250
    selection = select_adaptive(candidates, count, SETTINGS, SEED)
    assert len(set(selection.rows.tolist())) == count
    if count <= 60:
        exact = distances(candidates.strain[selection.rows], candidates.strain[selection.rows])
        np.fill_diagonal(exact, np.inf)
        assert exact.min() >= selection.threshold * (1 - 1e-4)


def test_fewer_profiles_are_farther_apart(candidates):
    few, many = (select_adaptive(candidates, count, SETTINGS, SEED).threshold for count in (30, 120))
    assert few > 1.2 * many


def test_adaptive_sampling_covers_the_candidates_better_than_random(strain, centre_mm, candidates):
    adaptive = candidates.take(select_adaptive(candidates, 60, SETTINGS, SEED).rows)
    plain = random_candidates(strain, strain.max(axis=2), range(4), centre_mm, 60, SETTINGS, SEED)
    farthest = [nearest_distance(candidates.strain, chosen.strain, SETTINGS).max() for chosen in (adaptive, plain)]
    assert farthest[0] < 0.7 * farthest[1]


@pytest.mark.parametrize("method", ["stratified_adaptive", "random", "kmeans"])
def test_each_method_is_deterministic_and_exact_and_follows_the_seed(candidates, method):
    settings = SETTINGS.model_copy(update={"method": method})
    rows = [select_training(candidates, settings, seed).rows for seed in (SEED, SEED, SEED + 1)]
    assert len(set(rows[0].tolist())) == 60
    assert np.array_equal(rows[0], rows[1]) and not np.array_equal(np.sort(rows[0]), np.sort(rows[2]))


def test_kmeans_represents_clusters():
    # Ten tight groups: ten centres take one of each.
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(10), 40)
    shapes = histories(10, 20)[group] + rng.normal(0, 1e-5, (400, SAMPLES)).astype(np.float32)
    number = np.arange(400)
    chosen = select_kmeans(Candidates(shapes, number, number, number), 10, SETTINGS, SEED)
    # Random starts may put two centres into one group; most groups are met all the same.
    assert len(set(group[chosen.rows])) >= 6


def test_random_profiles_come_in_equal_parts_from_the_impacts(strain, centre_mm):
    found = random_candidates(strain, strain.max(axis=2), [4, 1, 5], centre_mm, 100, SETTINGS, SEED)
    assert np.bincount(found.impact, minlength=6).tolist() == [0, 33, 0, 0, 34, 33]
    assert np.array_equal(found.strain, strain[found.impact, found.voxel])
    assert len(set(zip(found.impact.tolist(), found.voxel.tolist(), strict=True))) == 100


def test_what_a_weak_impact_cannot_give_the_others_do(strain, centre_mm):
    peak = strain.max(axis=2).copy()
    peak[1, 5:] = 0.0
    found = random_candidates(strain, peak, [0, 1, 2], centre_mm, 100, SETTINGS, SEED)
    counts = np.bincount(found.impact)
    assert counts[1] <= 5 and counts.sum() == 100 and abs(counts[0] - counts[2]) <= 1


def test_the_worst_case_is_the_greedy_farthest_set(strain, centre_mm, candidates):
    heldout = stratified_candidates(strain, strain.max(axis=2), [4, 5], centre_mm, SETTINGS, SEED)
    training = candidates.take(select_adaptive(candidates, 60, SETTINGS, SEED).rows)
    selection = select_worst_case(heldout, training.strain, SETTINGS)
    # In the distance of the adaptive sampling: the farthest in plain strain would be the most severe ones alone.
    scale = SETTINGS.compression_strain
    profiles, known = (scale * np.arcsinh(one.strain / scale) for one in (heldout, training))
    to_training = distances(profiles, known).min(axis=1)
    among = distances(profiles, profiles)
    expected = []
    for _ in range(12):
        expected.append(int(to_training.argmax()))
        to_training = np.minimum(to_training, among[:, expected[-1]])
    assert selection.rows.tolist() == expected


def test_the_digest_sees_every_value_and_the_order(candidates):
    chosen = candidates.take(np.arange(12))
    changed = Candidates(chosen.strain.copy(), chosen.impact, chosen.voxel, chosen.cube)
    changed.strain[3, 4] = np.nextafter(changed.strain[3, 4], np.float32(1))
    digests = {selection_digest(one) for one in (chosen, changed, chosen.take(np.arange(12)[::-1]))}
    assert len(digests) == 3
    assert selection_digest(candidates.take(np.arange(12))) == selection_digest(chosen)


def test_more_profiles_than_candidates_are_refused_by_key(strain, centre_mm, candidates):
    peak = strain.max(axis=2)
    n = len(candidates.voxel)
    for method in ("stratified_adaptive", "random", "kmeans"):
        settings = SETTINGS.model_copy(update={"method": method, "training_profiles": 5000})
        with pytest.raises(InputError, match=f"sampling.training_profiles: found 5,000, accepted are at most {n}"):
            select_training(candidates, settings, SEED)
    with pytest.raises(InputError, match=r"sampling\.worst_case_profiles: found 12, accepted are at most 5"):
        select_worst_case(candidates.take(np.arange(5)), candidates.strain, SETTINGS)
    with pytest.raises(InputError, match=r"sampling\.heldout_profiles: found 9,999"):
        random_candidates(strain, peak, [0], centre_mm, 9999, SETTINGS, SEED, key="heldout_profiles")


def test_a_least_peak_that_no_voxel_reaches_is_refused(strain, centre_mm):
    settings = SETTINGS.model_copy(update={"min_peak_strain": 50.0})
    with pytest.raises(InputError, match=r"sampling\.min_peak_strain: found 50, but the largest peak strain is 0\."):
        stratified_candidates(strain, strain.max(axis=2), [0, 1], centre_mm, settings, SEED)
