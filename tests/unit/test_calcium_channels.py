"""The channel family: exact kinetics, protocols, networks fitted to them."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from understudy.calcium.channel_family import (
    CALCIUM_HVA,
    FAMILY,
    FAMILY_IP3_UM,
    POTASSIUM,
    SODIUM,
    Ip3Receptor,
    RyanodineReceptor,
    family_channel,
    space_clamp,
)
from understudy.calcium.channel_study import (
    QUICK_SETTINGS,
    FamilySettings,
    family_table,
    fit_member,
    protocol_set,
    recorded_calcium_uM,
)
from understudy.calcium.clamp_protocols import DRAWN_KINDS, drawn_clamps, joined, recorded_clamps
from understudy.calcium.clamp_training import POWER, FitStage, clamp_errors, family_form, fit_clamps, gates_of
from understudy.calcium.network_gates import by_lane
from understudy.calcium.parameters import Parameters, ip3_open_probability
from understudy.calcium.rate_network import RateNetwork
from understudy.errors import InputError


@pytest.mark.parametrize("channel", FAMILY.values(), ids=FAMILY)
def test_two_steps_make_one(channel):
    """At a constant driver the exact solution is a flow."""
    x = channel.driver.unscaled(np.array([-0.4, 0.1, 0.6]))
    start = channel.stationary(np.full(3, channel.rest))
    for total in (channel.fast_s, channel.slow_s):
        whole = channel.relaxed(start, x, np.full(3, total))
        halves = channel.relaxed(channel.relaxed(start, x, np.full(3, 0.3 * total)), x, np.full(3, 0.7 * total))
        np.testing.assert_allclose(whole, halves, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(channel.relaxed(start, x, np.full(3, 1e4)), channel.stationary(x), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("channel", FAMILY.values(), ids=FAMILY)
def test_open_and_inactivated_share_the_channels(channel):
    clamps = drawn_clamps(channel, 12, 60, np.random.default_rng(0))
    assert clamps.truth.min() >= 0
    assert clamps.truth.sum(axis=-1).max() <= 1 + 1e-12
    assert np.ptp(clamps.truth[..., 0]) > 0.1


def test_ryanodine_receptor_follows_its_equations():
    own, u = Parameters(), 0.8

    def slopes(_, y):
        o2, c1, c2 = y
        o1 = 1 - y.sum()
        return [
            own.second_opening_per_uM3_s * u**3 * o1 - own.second_closing_per_s * o2,
            own.closing_per_s * o1 - own.opening_per_uM4_s * u**4 * c1,
            own.inactivation_per_s * o1 - own.recovery_per_s * c2,
        ]

    channel = RyanodineReceptor()
    start = channel.stationary(np.array(0.05))
    expected = solve_ivp(slopes, (0, 0.5), start[1:], method="LSODA", rtol=1e-10, atol=1e-13).y[:, -1]
    np.testing.assert_allclose(channel.relaxed(start, np.array(u), np.array(0.5))[1:], expected, atol=1e-8)


def test_hodgkin_huxley_rest():
    """Gates at -65 mV as NEURON's hh has them (to the digits that it prints)."""
    np.testing.assert_allclose(SODIUM.stationary(np.array(-65.0)), [0.0529, 0.5961], atol=5e-5)
    np.testing.assert_allclose(POTASSIUM.stationary(np.array(-65.0)), [0.3177], atol=5e-5)


def test_rates_have_no_hole():
    """Where numerator and denominator of an opening rate vanish, it goes on smoothly."""
    for channel, v in ((SODIUM, -40.0), (POTASSIUM, -55.0), (CALCIUM_HVA, -27.0)):
        at, below, above = (channel.rates(np.array(v + dv))[0][0] for dv in (0.0, -1e-4, 1e-4))
        assert at == pytest.approx(0.5 * (below + above), rel=1e-6)


def test_ip3_receptor_has_the_reduced_equilibrium():
    u = np.array([0.05, 0.3, 2.0])
    channel = Ip3Receptor()
    p = channel.observed(channel.stationary(u), u)[0]
    np.testing.assert_allclose(p, ip3_open_probability(u, FAMILY_IP3_UM), rtol=1e-12)


def test_unknown_channel():
    with pytest.raises(InputError, match=r"channel: found 'hcn', accepted are sodium, potassium"):
        family_channel("hcn")


def test_protocols_of_the_sets_differ_and_repeat():
    own = FamilySettings()
    sets = [protocol_set(POTASSIUM, name, 8, own) for name in ("training", "stopping", "heldout")]
    lengths = [set(each.dt_s.ravel()) for each in sets]
    assert not lengths[0] & lengths[1] and not lengths[0] & lengths[2] and not lengths[1] & lengths[2]
    np.testing.assert_array_equal(sets[0].drive, protocol_set(POTASSIUM, "training", 8, own).drive)
    assert set(sets[0].kind) == set(DRAWN_KINDS)


def test_protocol_refusals():
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match=r"protocol: found the kind 'sine'"):
        drawn_clamps(SODIUM, 1, 20, rng, ("sine",))
    with pytest.raises(InputError, match=r"waves: found a number that is not finite"):
        recorded_clamps(SODIUM, np.array([[np.nan, 0.0]]), 1e-4)
    with pytest.raises(InputError, match=r"sets of \[20, 30\] intervals"):
        joined([drawn_clamps(SODIUM, 1, 20, rng), drawn_clamps(SODIUM, 1, 30, rng)])


def test_space_clamp_of_a_gate_is_an_exponential():
    """n of potassium after a step, in closed form."""
    a, b = (rate[0] for rate in POTASSIUM.rates(np.array(0.0)))
    start = POTASSIUM.stationary(np.array(-65.0))[0]
    dt = np.array([[1e-3, 2e-3]])
    seen = space_clamp(POTASSIUM, np.array([-65.0]), np.zeros((1, 2)), dt)[0, :, 0]
    n = a / (a + b) + (start - a / (a + b)) * np.exp(-(a + b) * np.array([0, 1e-3, 3e-3]))
    np.testing.assert_allclose(seen, n**4, rtol=1e-12)


def test_gates_give_back_the_open_probability():
    truth = drawn_clamps(SODIUM, 4, 40, np.random.default_rng(2)).truth
    gates = gates_of(truth, (POWER, 1))
    np.testing.assert_allclose(gates[..., 0] ** POWER * gates[..., 1], truth[..., 0], atol=1e-12)


def test_all_channels_have_one_network():
    """The same widths, inputs and number of weights."""
    forms = [family_form(channel) for channel in FAMILY.values()]
    assert len({form.n_weights for form in forms}) == 1
    assert len({(form.gating, form.powers, form.hidden, form.sees_gates, form.n_inputs) for form in forms}) == 1


def test_quick_fit_learns_and_an_untrained_network_does_not():
    """Seconds of fitting leave an error of at most 3 % of the range on protocols that were never fitted."""
    member = fit_member("potassium", QUICK_SETTINGS)
    assert member.errors["drawn"].nrmse < 0.03
    assert member.errors["recorded waveform"].r2 > 0.98
    (row,) = family_table([member])
    assert row["drawn, NRMSE"] == member.errors["drawn"].nrmse
    assert row["weights"] == family_form(POTASSIUM).n_weights
    raw = RateNetwork(family_form(POTASSIUM), 0)
    assert clamp_errors(raw, protocol_set(POTASSIUM, "heldout", 16, QUICK_SETTINGS))["drawn"].nrmse > 0.1


def test_fit_repeats():
    """The same seed gives the same weights, another one others."""
    rng = np.random.default_rng(1)
    training, stopping = drawn_clamps(POTASSIUM, 8, 20, rng), drawn_clamps(POTASSIUM, 4, 20, rng)
    one, again, other = (
        fit_clamps(family_form(POTASSIUM), training, stopping, seed=seed, stages=(FitStage(1, 64, 8),)).network
        for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(one.w1.detach().numpy(), again.w1.detach().numpy())
    assert not np.array_equal(one.w1.detach().numpy(), other.w1.detach().numpy())


def test_recorded_calcium_is_a_wave():
    waves = recorded_calcium_uM(80)
    assert waves.shape == (8, 80)
    assert waves.max() > 2.0
    assert waves[:, 0].max() < 0.1


def test_values_by_lane():
    np.testing.assert_array_equal(by_lane(np.arange(3.0), 2).ravel(), [0, 1, 2, 2])
