"""The axon solver against closed forms and scipy's banded Cholesky factorisation; its independence of lanes."""

import numpy as np
import pytest
from banded_axon import simulate

from understudy.axon.axon_geometry import layout_set, reference_geometry
from understudy.axon.axon_mechanics import capped_steps, end_strain_steps, simulate_axon_history, simulate_axons
from understudy.axon.block_inverse import ENTRIES, invert_block, subtract_apply, tile
from understudy.axon.config import Injury
from understudy.axon.injury_verification import half_sine, verify_injury
from understudy.axon.simd_lanes import LANES
from understudy.errors import InputError

VERIFICATION = verify_injury(Injury())


@pytest.mark.parametrize("line", VERIFICATION, ids=lambda line: line["name"])
def test_verification(line):
    assert line["passed"], line


def test_verification_covers_v1_to_v9():
    found = {line["name"].split()[0] for line in VERIFICATION}
    assert found == {f"V{n}" for n in range(1, 10)}


def profiles() -> np.ndarray:
    """Ten histories: quiet, typical, violent, long, short, compressive and oscillating."""
    t = np.arange(101.0)
    decayed = np.where(t < 15, 0.5 * (1 - np.cos(np.pi * t / 15)), np.exp(-np.maximum(t - 15, 0) / 30))
    shapes = [half_sine(p, d) for p, d in ((0.004, 50), (0.02, 40), (0.05, 40), (0.12, 25), (0.25, 60), (0.08, 10))]
    return np.array([
        *shapes, 0.06 * decayed, -0.05 * decayed, 0.05 * np.sin(2 * np.pi * t / 40), 0.03 * decayed + 0.02,
    ])  # fmt: skip


@pytest.mark.parametrize(("criterion", "sex"), [("elongation", "male"), ("bell", "female")])
def test_agrees_with_banded_cholesky(criterion, sex):
    """Both solve the same equations in float64; 1e-9 leaves room for the condition number (about 1e4) alone.

    A link at its limit to the last bit could fail in one and not in the other; none of these cases has one.
    """
    injury = Injury(tau_criterion=criterion, sex=sex, dt_ms=1.0)  # the peer steps once per sample
    geometry = reference_geometry(injury)
    strain = profiles()[[1, 2, 3, 7, 8]]
    found = simulate_axons(strain, [geometry], injury)[:, 0]
    expected = np.array([simulate(row, geometry, injury)[0] for row in strain])
    np.testing.assert_allclose(found, expected, atol=1e-9, rtol=0)
    assert expected[:, 2].max() > 0.1  # links did fail


@pytest.mark.parametrize("criterion", ["elongation", "bell"])
def test_bits_do_not_depend_on_the_other_cases(criterion):
    """Alone, in reverse order, doubled, with other layouts: the same bits for each profile and layout."""
    injury = Injury(tau_criterion=criterion, layouts=2)
    layouts = [reference_geometry(injury), *layout_set(injury, 3)]
    strain = profiles()
    together = simulate_axons(strain, layouts, injury)
    np.testing.assert_array_equal(simulate_axons(strain[::-1], layouts, injury)[::-1], together)
    np.testing.assert_array_equal(simulate_axons(strain[3:4], layouts[1:2], injury)[0, 0], together[3, 1])
    np.testing.assert_array_equal(simulate_axons(strain[5:9], layouts[::-1], injury)[:, ::-1], together[5:9])


def test_recorded_case_is_the_simulated_one():
    injury = Injury()
    geometry = reference_geometry(injury)
    strain = half_sine(0.05, 40)
    history = simulate_axon_history(strain, geometry, injury)
    np.testing.assert_array_equal(history.outputs, simulate_axons(strain[None], [geometry], injury)[0, 0])
    mt = np.diff(history.displacement_nm[:, :, :-1], axis=1) / geometry.dx_nm
    mt = np.where(geometry.axial_pN_per_nm[:, :-1] > 0, mt, -np.inf)
    assert mt.max() == history.outputs[0]
    axolemma = np.diff(history.displacement_nm[:, :, -1], axis=1) / geometry.dx_nm
    assert axolemma.max() == history.outputs[1]
    tau = slice(0, geometry.n_tau_pairs)
    held = history.survivors[-1, :, tau].sum() / geometry.links_per_pair[:, tau].sum()
    assert 1 - held == pytest.approx(history.outputs[2], abs=1e-12)
    assert (np.diff(history.survivors, axis=0) <= 0).all()  # irreversible


def test_more_strain_never_mends_and_rest_harms_nothing():
    injury = Injury()
    geometry = reference_geometry(injury)
    out = simulate_axons(half_sine(1.0, 40)[None] * np.array([[0.0], [0.01], [0.04], [0.08]]), [geometry], injury)[:, 0]
    np.testing.assert_array_equal(out[0], 0.0)
    assert (np.diff(out[:, 1:], axis=0) >= 0).all()
    assert out[-1, 2] > 0.2


def test_compression_strains_nothing_in_tension_but_can_break_links():
    injury = Injury()
    geometry = reference_geometry(injury)
    out = simulate_axons(-half_sine(0.08, 40)[None], [geometry], injury)[0, 0]
    stretched = simulate_axons(half_sine(0.08, 40)[None], [geometry], injury)[0, 0]
    assert out[2] > 0.1
    assert out[0] < 0.5 * stretched[0]


def test_iteration_over_failures_ends():
    """The cap of the iterations within a step is never reached, not even by violent histories."""
    for criterion in ("elongation", "bell"):
        injury = Injury(tau_criterion=criterion)
        assert capped_steps(profiles(), [reference_geometry(injury)], injury).max() == 0


def test_histories_are_interpolated_between_samples():
    strain = np.array([[0.0, 0.02, -0.01]])
    np.testing.assert_allclose(end_strain_steps(strain, 2), [[0.0, 0.01, 0.02, 0.005, -0.01]], atol=1e-15)
    np.testing.assert_array_equal(end_strain_steps(strain, 1), strain)


@pytest.mark.parametrize(
    ("strain", "words"),
    [
        (np.zeros(101), "shape"),
        (np.array([[0.0, np.nan, 0.0]]), "not finite in profile 0"),
        (np.array([[0.0, 0.0], [0.0, 1.5]]), "1.5 in profile 1"),
    ],
)
def test_bad_histories_are_refused(strain, words):
    injury = Injury()
    with pytest.raises(InputError, match=words):
        simulate_axons(strain, [reference_geometry(injury)], injury)


def test_layouts_of_different_axons_are_refused():
    male, female = Injury(), Injury(sex="female")
    with pytest.raises(InputError, match="different axons"):
        simulate_axons(np.zeros((1, 3)), [reference_geometry(male), reference_geometry(female)], male)


def test_block_inverse_in_every_lane():
    """Packed tiles against numpy; 1e-12 for blocks of condition number below 100."""
    blocks, rng = 5, np.random.default_rng(1)
    n, tiles = 4 * blocks, tile(blocks, 0)
    dense = rng.standard_normal((LANES, n, n))
    dense = dense @ dense.transpose(0, 2, 1) + n * np.eye(n)
    packed = np.zeros((tiles, 4, 4, LANES))
    for i in range(blocks):
        for j in range(i + 1):
            packed[tile(i, j)] = dense[:, 4 * i : 4 * i + 4, 4 * j : 4 * j + 4].transpose(1, 2, 0)
    flat = packed.ravel().copy()
    invert_block(flat, 0, blocks, np.zeros(blocks * ENTRIES * LANES), np.zeros(blocks * ENTRIES * LANES))
    x = rng.standard_normal((n, LANES))
    y = np.zeros(n * LANES)
    subtract_apply(y, 0, flat, 0, x.ravel().copy(), 0, blocks)
    expected = np.linalg.solve(dense, x.T[:, :, None])[:, :, 0].T
    np.testing.assert_allclose(y.reshape(n, LANES), expected, rtol=0, atol=1e-12)
