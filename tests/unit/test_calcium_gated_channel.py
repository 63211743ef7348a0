"""Compiled gates against torch, in lanes and without; the monitor; refused networks."""

import copy

import numpy as np
import pytest
import torch

from understudy.calcium.cable_dynamics import CableSimulation, simulate_cables
from understudy.calcium.cable_geometry import uniform_cable
from understudy.calcium.gated_channel import (
    RYANODINE,
    network_channel,
    one_state_closure,
    two_state_closure,
    visited_domain,
)
from understudy.calcium.parameters import Parameters, stationary_ryanodine
from understudy.calcium.rate_network import CALCIUM, Drive, RateForm, RateNetwork
from understudy.calcium.stimulus import Stimulus
from understudy.errors import InputError

FORMS = [
    RateForm(RYANODINE, (CALCIUM,), sees_gates=True),
    RateForm(RYANODINE, (CALCIUM,), gating="chain", powers=(1, 0), hidden=(9, 5)),
    RateForm(RYANODINE, (CALCIUM,), filter_s=2.5e-3, sees_gates=True),
    RateForm(RYANODINE, (CALCIUM,), gating="chain", filter_s=2.5e-3, powers=(1, 0)),
    RateForm(RYANODINE, (CALCIUM,), gating="chain", sees_gates=True, powers=(1, 0)),
]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.gating}-{form.n_states}-{form.n_inputs}")
@pytest.mark.parametrize("width", [1, 8])
def test_compiled_gates_are_those_of_the_network(form, width):
    network, rng = RateNetwork(form, 7), np.random.default_rng(3)
    with torch.no_grad():
        network.w3 *= 6.0
    channel = network_channel(network, update="exponential")
    u = 10 ** rng.uniform(-1.5, 1.5, (2, 5, width))
    states = channel.rest(u)
    expected = torch.from_numpy(np.moveaxis(states, 0, -1).copy())
    for dt in (1e-5, 3e-4, 0.02):
        u = 10 ** rng.uniform(-1.5, 1.5, (2, 5, width))
        p = channel.advance(states, u, dt)
        with torch.no_grad():
            expected = network.advance(expected, torch.from_numpy(u)[..., None], dt)
        np.testing.assert_allclose(np.moveaxis(states, 0, -1), expected.numpy(), atol=1e-10)
        np.testing.assert_array_equal(p, states[0])


@pytest.mark.parametrize("update", ["exponential", "sdirk", "euler"])
@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.gating}-{form.n_states}-{form.n_inputs}")
def test_compiled_gates_stay_probabilities(form, update):
    rng = np.random.default_rng(11)
    for seed in range(4):
        network = RateNetwork(form, seed)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter *= 10.0 ** (seed % 3)
        channel = network_channel(network, update=update)
        states = channel.rest(10 ** rng.uniform(-4, 3, (1, 300, 8)))
        for dt in 10.0 ** rng.uniform(-7, 0, 10):
            p = channel.advance(states, 10 ** rng.uniform(-4, 3, (1, 300, 8)), float(dt))
            assert np.isfinite(states).all()
            assert ((p >= 0) & (p <= 1)).all()
            if form.gating == "chain":
                assert (states[1] >= 0).all() and (states[0] + states[1] <= 1).all()


@pytest.mark.parametrize("update", ["exponential", "sdirk", "euler"])
@pytest.mark.parametrize("closure", [one_state_closure, two_state_closure])
def test_closures_rest_and_stay_probabilities(closure, update):
    parameters, rng = Parameters(), np.random.default_rng(2)
    channel = closure(parameters, update=update)
    u = np.full((1, 3, 8), parameters.rest_cytosol_uM)
    states = channel.rest(u)
    p = channel.advance(states, u, 0.1)
    np.testing.assert_allclose(p, parameters.rest_open_probability, rtol=1e-9)
    for dt in 10.0 ** rng.uniform(-7, 0, 30):
        p = channel.advance(states, 10 ** rng.uniform(-4, 2, u.shape), float(dt))
        assert ((p >= 0) & (p <= 1)).all()


def test_two_states_agree_with_the_receptors_for_slow_calcium():
    """The second open state follows within 3 ms; calcium that moves over 0.2 s leaves nothing of that."""
    parameters, channel = Parameters(), two_state_closure(Parameters(), update="exponential")
    states = channel.rest(np.full((1, 1, 1), 0.4))
    for _ in range(4000):
        p = channel.advance(states, np.full((1, 1, 1), 0.4), 0.05)
    o1, o2, _, c2 = stationary_ryanodine(parameters, 0.4)
    assert p[0, 0, 0] == pytest.approx(o1 + o2, rel=1e-10)
    assert states[1, 0, 0, 0] == pytest.approx(c2, rel=1e-10)


@pytest.mark.parametrize("scheme", ["crank-nicolson", "euler"])
@pytest.mark.parametrize("count", [1, 3])
def test_many_steps_at_once_are_the_same_steps(scheme, count):
    cables = [uniform_cable(16.0, 0.5, 0.22 + 0.01 * k, 64) for k in range(count)]
    network = RateNetwork(FORMS[2], 4)
    nothing = np.zeros((count, 64, 3))
    for channel in (network_channel(network), two_state_closure(Parameters())):
        options = {"scheme": scheme, "channel": channel, "check_grid": False}
        fused = CableSimulation(cables, Parameters(), 5e-5, **options).run(0.01, Stimulus(), sites=[3, 40], every=2)
        single = CableSimulation(cables, Parameters(), 5e-5, **options).run(
            0.01, Stimulus(), sites=[3, 40], every=2, source=lambda t: nothing
        )
        for name in ("arrival_s", "traces", "concentrations_uM", "states", "peak_uM"):
            np.testing.assert_allclose(getattr(fused, name), getattr(single, name), rtol=1e-9, atol=1e-12)


def test_monitor_counts_what_training_did_not_visit():
    """A domain of calcium below 1 uM: the first excursion is at the stimulated end, while it acts."""
    form = RateForm(RYANODINE, (CALCIUM,), gating="chain", powers=(1, 0))
    network = RateNetwork(form, 1)
    seen = torch.tensor(np.geomspace(0.03, 1.0, 500))[:, None]
    with torch.no_grad():
        domain = visited_domain(network.features(seen, None, torch.zeros((500, 2))).numpy())
    channel = network_channel(network, domain=domain, watch_every=1)
    cable, passive = uniform_cable(16.0, 0.5, 0.25, 64), Parameters(ryanodine_per_um2=0.0)
    run = CableSimulation([cable, cable], passive, 5e-5, channel=channel)
    result = run.run(2e-3, Stimulus(density_uM_um_per_s=50.0))
    assert channel.excursion.outside == 0
    assert channel.excursion.looked == 41 * 64 * 2
    assert result.peak_uM.max() < 1.0
    run = CableSimulation([cable, cable], passive, 5e-5, channel=channel)
    run.run(2e-3, Stimulus(density_uM_um_per_s=20000.0))
    seen = copy.deepcopy(channel).excursion
    assert seen.outside > 0 and seen.first_node == 0 and seen.first_step * 5e-5 < 1e-3
    assert 0 < seen.share < 0.5


def test_other_networks_are_refused():
    sodium = RateForm("sodium channel", (Drive("voltage", "mV", "linear", -100.0, 60.0),))
    with pytest.raises(InputError, match="found one of the channel 'sodium channel'"):
        network_channel(RateNetwork(sodium))
    with pytest.raises(InputError, match="found gating 'pair'"):
        network_channel(RateNetwork(RateForm(RYANODINE, (CALCIUM,), gating="pair", powers=(1, 1))))
    with pytest.raises(InputError, match="update: found 'leapfrog'"):
        network_channel(RateNetwork(FORMS[0]), update="leapfrog")
    with pytest.raises(InputError, match=r"accepted are 24\^2"):
        network_channel(RateNetwork(FORMS[0]), domain=visited_domain(np.zeros((1, 1))))


def test_a_wave_runs_with_either_closure():
    cable = uniform_cable(24.0, 0.5, 0.25, 96)
    for closure in (one_state_closure, two_state_closure):
        run = simulate_cables(
            [cable], Parameters(), Stimulus(), 0.04, 5e-5, channel=closure(Parameters()), check_grid=False
        )
        assert np.isfinite(run.arrival_s).all()
