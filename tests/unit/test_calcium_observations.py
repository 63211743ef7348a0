"""Noisy, sparse observations of a channel, baselines, and a network learned from them."""

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from understudy.calcium.channel_family import POTASSIUM, RyanodineReceptor
from understudy.calcium.clamp_protocols import drawn_clamps, recorded_clamps
from understudy.calcium.observations import (
    FLUORESCENCE,
    Dye,
    Observing,
    expected_observations,
    observe,
    store_calcium,
)
from understudy.calcium.observed_baselines import deconvolved, smoothed, tabulated
from understudy.calcium.observed_fit import ObservedFit, fit_observations, observed_errors
from understudy.errors import InputError


def clamps(count=12, intervals=40, seed=0):
    return drawn_clamps(POTASSIUM, count, intervals, np.random.default_rng(seed))


def test_noise_gaps_and_share_are_as_asked():
    observing = Observing(noise=0.1, share=0.6, missing=0.25)
    found = observe(POTASSIUM, clamps(200), observing, np.random.default_rng(1))
    assert np.array_equal(found.missing.sum(axis=1), np.full(200, 10))
    assert not (found.seen & found.missing).any()
    assert found.seen[~found.missing].mean() == pytest.approx(0.6, abs=0.02)
    residual = (found.values - found.clamps.truth[:, 1:, 0])[found.seen]
    assert residual.std() == pytest.approx(0.1, rel=0.05)


def test_refusals():
    with pytest.raises(InputError, match=r"kind: found 'current', accepted are open probability, fluorescence"):
        Observing("current")
    with pytest.raises(InputError, match=r"noise: found 0"):
        Observing(noise=0.0)
    with pytest.raises(InputError, match=r"share and missing: found 0.5 and 1,"):
        Observing(missing=1.0)


def test_store_follows_its_balance():
    """Against an integration of e' with the receptor's exact course in a step of calcium."""
    channel, dye = RyanodineReceptor(), Dye()
    step = recorded_clamps(channel, np.array([[0.05, *np.full(60, 0.6)]]), 5e-3)
    start = channel.stationary(np.array(0.05))

    def slope(t, e):
        p = channel.observed(channel.relaxed(start, np.array(0.6), np.array(max(t - 5e-3, 0.0))), 0.6)[0]
        return dye.refill_per_s * (1 - e) - dye.release_per_s * p * e

    begin = dye.at_rest(channel.observed(start, 0.05)[0])
    expected = solve_ivp(slope, (5e-3, 0.305), [begin], rtol=1e-8, atol=1e-10).y[0, -1]
    assert expected < 0.8
    assert store_calcium(channel, step, dye)[0, -1] == pytest.approx(expected, abs=2e-4)


def test_dye_is_inverted():
    e = np.array([0.02, 0.3, 1.0])
    np.testing.assert_allclose(Dye().calcium(Dye().fluorescence(e)), e, rtol=1e-12)


def test_expected_fluorescence_is_that_of_the_truth():
    """The fit's coarser store (a mean open probability per interval) is within the noise of the observed one."""
    channel = RyanodineReceptor()
    own = drawn_clamps(channel, 16, 80, np.random.default_rng(4))
    clean = Dye().fluorescence(store_calcium(channel, own, Dye()))
    found = expected_observations(
        Observing(FLUORESCENCE, 0.01), torch.from_numpy(own.truth[..., 0]), torch.from_numpy(own.dt_s)
    )
    assert np.sqrt(((found.numpy() - clean) ** 2).mean()) < 0.01


def test_baselines_smooth():
    """Seen parts come out better than the noise, gaps worse than seen parts; deconvolution beats saying nothing."""
    found = observe(POTASSIUM, clamps(24, 60), Observing(noise=0.1, share=0.9), np.random.default_rng(2))
    truth = found.clamps.truth[:, 1:, 0]
    error = (smoothed(found) - truth) ** 2
    assert np.sqrt(error[~found.missing].mean()) < 0.1
    assert error[found.missing].mean() > error[~found.missing].mean()
    dye = observe(POTASSIUM, clamps(6, 40), Observing(FLUORESCENCE, 0.005, 0.9), np.random.default_rng(2))
    own = dye.clamps.truth[:, 1:, 0]
    assert ((deconvolved(dye) - own) ** 2).mean() < own.var()


def test_table_answers_with_the_mean_at_like_drivers():
    own = recorded_clamps(POTASSIUM, np.full((3, 400), [[-80.0], [-20.0], [40.0]]), 1e-3)
    found = observe(POTASSIUM, own, Observing(noise=0.02, share=0.9), np.random.default_rng(3))
    scaled = POTASSIUM.driver.scaled
    table = tabulated(found, scaled(own.drive), scaled(np.array([-20.0])))
    late = own.truth[1, -1, 0]
    assert table[0] == pytest.approx(late, abs=0.03)


def test_network_learns_from_noise_and_gaps():
    """Without states or scheme, closer to the truth in the gaps than smoothing, and on new protocols than a table."""
    observing = Observing(noise=0.05)
    training = observe(POTASSIUM, clamps(20, 40, 5), observing, np.random.default_rng(6))
    stopping = observe(POTASSIUM, clamps(8, 40, 7), observing, np.random.default_rng(8))
    network = fit_observations(POTASSIUM, training, stopping, seed=0, fit=ObservedFit(iterations=60, hidden=(8, 8)))
    errors = observed_errors(POTASSIUM, network, training, clamps(12, 40, 9))
    assert errors.network[1] < 0.5 * errors.smoothing[1]
    assert errors.network_new < 0.5 * errors.table_new
    assert errors.r2_new > 0.9
