"""Ways of sampling: what each one chooses, the study's own way, the pool, and profiles simulated once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from toy_axon_run import write_strain

from understudy.axon.axon_geometry import reference_geometry
from understudy.axon.axon_mechanics import simulate_axons
from understudy.axon.config import Injury, Sampling
from understudy.axon.files import open_strain
from understudy.axon.profile_selection import choose_profiles
from understudy.axon.sampling_ways import WAYS, active_pool, choose_by, choose_mixed, training_strain
from understudy.axon.simulated_profiles import SimulatedProfiles
from understudy.errors import InputError

SEED = 5
SETTINGS = Sampling(
    training_profiles=40, calibration_profiles=50, heldout_profiles=50, worst_case_profiles=5, kmeans_share=0.3,
    random_share=0.2,
)  # fmt: skip
INJURY = Injury(length_um=4, node_length_um=0.5)


@pytest.fixture(scope="module")
def strain(tmp_path_factory):
    with open_strain(write_strain(Path(tmp_path_factory.mktemp("run")) / "fibre_strain.h5")) as opened:
        yield opened


@pytest.fixture(scope="module")
def source(strain):
    return training_strain(strain, SETTINGS, SEED)


def keys(profiles) -> list[tuple[int, int]]:
    return list(zip(profiles.impact.tolist(), profiles.voxel.tolist(), strict=True))


@pytest.mark.parametrize("way", WAYS)
def test_every_way_takes_different_profiles_of_training_impacts_alone(way, strain, source):
    for count in (20, 60):
        chosen = choose_by(way, source, count)
        assert len(set(keys(chosen))) == len(chosen.voxel) == count
        assert {strain.role[impact] for impact in chosen.impact} == {"training"}
        for row in range(0, count, 7):
            expected = strain.strain[chosen.impact[row]][chosen.voxel[row]]
            assert np.array_equal(chosen.strain[row], expected)


def test_ways_differ(source):
    sets = [frozenset(keys(choose_by(way, source, 40))) for way in WAYS]
    assert len(set(sets)) == len(WAYS)


@pytest.mark.parametrize(
    "change", [{}, {"method": "kmeans"}, {"method": "random"}, {"random_share": 0.0}, {"kmeans_share": 0.0}]
)
def test_the_mixed_way_is_the_studys_own(strain, change):
    settings = SETTINGS.model_copy(update=change)
    samples = choose_profiles(strain, settings, SEED)
    own = samples.split == "training"
    chosen = choose_by("mixed", training_strain(strain, settings, SEED), settings.training_profiles)
    assert np.array_equal(chosen.impact, samples.impact[own])
    assert np.array_equal(chosen.voxel, samples.voxel[own])
    assert np.array_equal(chosen.strain, samples.strain[own])


def test_the_mixed_way_takes_its_parts_in_order_and_nothing_twice(strain, source):
    choice = choose_mixed(source, 40)
    assert choice.counts == {"stratified_adaptive": 20, "kmeans": 12, "random": 8}
    assert len(set(keys(choice.profiles))) == 40
    assert keys(choice.profiles)[:20] == keys(choose_by("stratified_adaptive", source, 20))
    assert choice.threshold > 0
    strata = set(keys(source.stratified))
    assert set(keys(choice.profiles)[:32]) <= strata and not set(keys(choice.profiles)[32:]) <= strata
    own = SETTINGS.model_copy(update={"method": "kmeans"})
    assert choose_mixed(training_strain(strain, own, SEED), 40).counts == {"kmeans": 32, "random": 8}


def test_shares_leave_a_part_to_the_method():
    with pytest.raises(ValueError, match="kmeans_share \\+ random_share"):
        Sampling(kmeans_share=0.5, random_share=0.5)


def test_more_than_the_strata_is_refused(source):
    assert source.largest == len(source.stratified.voxel) <= 4 * 18
    with pytest.raises(InputError, match="training_profiles"):
        choose_by("stratified_adaptive", source, source.largest + 1)


def test_the_pool_holds_the_start_then_strata_then_others_and_nothing_twice(strain, source):
    initial = choose_by("random", source, 20)
    pool = active_pool(source, initial, 30)
    found = keys(pool)
    assert found[:20] == keys(initial)
    assert len(set(found)) == len(found)
    assert {strain.role[impact] for impact in pool.impact} == {"training"}
    assert set(keys(source.stratified)) <= set(found)
    eligible = int((strain.peak[source.impacts] >= SETTINGS.min_peak_strain).sum())
    strata_left = len(set(keys(source.stratified)) - set(keys(initial)))
    assert len(found) == min(20 + strata_left + 10 * 30, eligible)
    assert len(active_pool(source, initial, 1).voxel) == 20 + strata_left + 10


def test_a_profile_is_simulated_once_and_keeps_its_bits(source):
    told = []
    simulated = SimulatedProfiles(INJURY, lambda done, total: told.append((done, total)))
    first = source.stratified.take(np.arange(12))
    direct = simulate_axons(first.strain.astype(float), [reference_geometry(INJURY)], INJURY)[:, 0]
    assert np.array_equal(simulated.targets(first), direct)
    assert told == [(12, 12)]
    again = source.stratified.take(np.array([3, 14, 3, 1, 13]))
    values = simulated.targets(again)
    assert told == [(12, 12), (2, 2)] and len(simulated) == 14
    assert np.array_equal(values[[0, 2, 3]], direct[[3, 3, 1]])
    assert not np.array_equal(values[1], values[4])
    simulated.targets(again)
    assert len(told) == 2


def test_simulated_profiles_survive_the_program(source, tmp_path):
    kept = tmp_path / "work" / "simulated.npz"
    some = source.stratified.take(np.arange(5))
    before = SimulatedProfiles(INJURY, lambda *_: None, kept).targets(some)
    told = []
    again = SimulatedProfiles(INJURY, lambda done, total: told.append((done, total)), kept)
    assert len(again) == 5
    assert np.array_equal(again.targets(some), before) and told == []
    again.targets(source.stratified.take(np.array([4, 7])))
    assert told == [(1, 1)] and len(SimulatedProfiles(INJURY, lambda *_: None, kept)) == 6
