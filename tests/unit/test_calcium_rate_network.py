"""Rate networks with random weights: gates stay probabilities, held inputs do not see the step, order in time."""

import numpy as np
import pytest
import torch
from scipy.linalg import expm

from understudy.calcium.rate_network import (
    CALCIUM,
    RateForm,
    RateNetwork,
    network_arrays,
    network_from_arrays,
    relax,
)
from understudy.errors import InputError

FORMS = [
    RateForm("ryanodine", (CALCIUM,), sees_gates=True),
    RateForm("ryanodine", (CALCIUM,), gating="chain", powers=(1, 0)),
    RateForm("ryanodine", (CALCIUM,), filter_s=2.5e-3, sees_gates=True),
    RateForm("ryanodine", (CALCIUM,), gating="chain", filter_s=2.5e-3, powers=(1, 0)),
    RateForm("ryanodine", (CALCIUM,), gating="pair", powers=(3, 1), sees_gates=True),
]


def _wild(form, seed):
    network = RateNetwork(form, seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter *= 10.0 ** (seed % 3)
    return network


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.gating}-{form.n_states}")
@pytest.mark.parametrize("seed", range(6))
def test_gates_stay_probabilities_for_any_weights_inputs_and_steps(form, seed):
    rng = np.random.default_rng(seed)
    network = _wild(form, seed)
    gates = (
        rng.dirichlet([0.3] * 3, 400)[:, : form.n_gates] if form.gating == "chain" else rng.random((400, form.n_gates))
    )
    u = 10 ** rng.uniform(-4, 3, (400, 1))
    states = torch.tensor(np.hstack([gates, u] if form.filter_s else [gates]))
    for dt in 10.0 ** rng.uniform(-7, 0, 12):
        u = torch.tensor(10 ** rng.uniform(-4, 3, (400, 1)))
        with torch.no_grad():
            states = network.advance(states, u, float(dt))
        gates = states[:, : form.n_gates]
        assert ((gates >= 0) & (gates <= 1)).all()
        assert form.gating != "chain" or (gates.sum(-1) <= 1).all()
        assert torch.isfinite(states).all()


def test_chain_is_the_matrix_exponential():
    rng = np.random.default_rng(5)
    for _ in range(40):
        a, b, f, g = 10 ** rng.uniform(-2, 4, 4)
        dt = 10 ** rng.uniform(-5, 0)
        start = rng.dirichlet([0.5] * 3)
        generator = np.array([[-a, b, 0.0], [a, -b - f, g], [0.0, f, -g]])
        expected = expm(generator * dt) @ start
        found = relax(torch.tensor(start[1:]), torch.tensor([a, b, f, g], dtype=torch.float64), dt, "chain")
        np.testing.assert_allclose(found.numpy(), expected[1:], atol=2e-12)


@pytest.mark.parametrize("form", [FORMS[1], FORMS[4]], ids=["chain", "pair"])
def test_two_half_steps_are_one_step_for_a_held_input(form):
    form = RateForm(form.channel, form.drives, gating=form.gating, powers=form.powers)
    network, u = RateNetwork(form, 3), torch.tensor([[0.05], [0.7], [6.0]], dtype=torch.float64)
    start = torch.tensor([[0.2, 0.5]] * 3, dtype=torch.float64)
    with torch.no_grad():
        for dt in (1e-5, 1e-3, 0.1, 1.0):
            twice = network.advance(network.advance(start, u, 0.5 * dt), u, 0.5 * dt)
            assert (twice - network.advance(start, u, dt)).abs().max() < 1e-12


@pytest.mark.parametrize("form", [FORMS[0], FORMS[3]], ids=["sees its gate", "filter"])
def test_steps_are_of_second_order_for_a_moving_input(form):
    network = RateNetwork(form, 4)
    with torch.no_grad():
        network.b3 += 1.0
        network.w3 *= 5.0
        ends = []
        for steps in (80, 160, 320):
            dt = 0.08 / steps
            states = network.rest(torch.tensor([[0.05]], dtype=torch.float64))
            for k in range(steps):
                u = 0.05 + 5 * np.sin(np.pi * (k + 0.5) * dt / 0.08) ** 2
                states = network.advance(states, torch.tensor([[u]], dtype=torch.float64), dt)
            ends.append(states[0].numpy())
    order = np.log2(np.abs(ends[0] - ends[1])[0] / np.abs(ends[1] - ends[2])[0])
    assert order == pytest.approx(2.0, abs=0.15)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.gating}-{form.n_states}")
def test_rest_is_where_a_step_changes_nothing(form):
    network, u = RateNetwork(form, 2), torch.tensor([[0.05], [0.4], [3.0]], dtype=torch.float64)
    with torch.no_grad():
        rest = network.rest(u)
        assert (network.advance(rest, u, 0.01) - rest).abs().max() < 1e-9


def test_a_network_survives_as_arrays_and_another_channel_is_refused():
    network = RateNetwork(FORMS[3], 1)
    arrays = network_arrays(network)
    again = network_from_arrays(arrays, "ryanodine")
    assert again.form == network.form
    assert sum(p.numel() for p in network.parameters()) == network.form.n_weights
    with pytest.raises(InputError, match=r"found one of the channel 'ryanodine', accepted is 'sodium'"):
        network_from_arrays(arrays, "sodium")
    arrays["w2"] = arrays["w2"] * np.nan
    with pytest.raises(InputError, match="w2"):
        network_from_arrays(arrays, "ryanodine")
    with pytest.raises(InputError, match="accepted are single, chain, pair"):
        RateForm("ryanodine", (CALCIUM,), gating="triple")
