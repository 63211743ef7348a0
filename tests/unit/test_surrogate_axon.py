"""The axon study's surrogate: rate, features, transforms and the network's independence of its batch."""

import numpy as np
import pytest
import torch

from understudy.axon.config import Network
from understudy.axon.layouts import target_names
from understudy.axon.surrogate import MEMORY_MS, SLOW_MS, SURROGATE, strain_rate

NONE = np.empty((3, 0))


def histories() -> np.ndarray:
    t = np.arange(101.0)
    rows = [0.08 * np.sin(np.pi * t / 40) * (t < 40), 0.02 * np.minimum(t / 10, 1), -0.01 * np.exp(-t / 20)]
    return np.stack(rows)[:, None].astype(np.float32)


def test_rate_of_a_ramp_is_its_slope_everywhere():
    ramp = 5e-3 * np.arange(101.0)[None]
    # 0.005 per ms.
    np.testing.assert_allclose(strain_rate(ramp), 5.0, rtol=1e-12)


def test_summary_features_of_known_histories():
    values, names = SURROGATE.summary_features(histories(), NONE)
    found = {name: values[:, column] for column, name in enumerate(names)}
    assert found["peak_strain"] == pytest.approx([0.08, 0.02, -0.01 * np.exp(-5)], rel=1e-5)
    assert found["time_of_peak_ms"].tolist() == [20, 10, 100]
    assert found["end_strain"] == pytest.approx([0, 0.02, -0.01 * np.exp(-5)], rel=1e-5)
    assert found["peak_rate_per_s"][1] == pytest.approx(2.0, rel=1e-4)
    # Integral of a half sine: 2/pi of peak times duration; the sum over 1 ms is within 0.1 %.
    assert found["impulse_ms"][0] == pytest.approx(0.08 * 40 * 2 / np.pi, rel=1e-3)
    # A half sine is above half its peak for two thirds of its time.
    assert found["time_above_half_peak_ms"][0] == pytest.approx(40 * 2 / 3, abs=1)
    assert np.isfinite(values).all()
    assert SURROGATE.scalar_feature(histories()).tolist() == found["peak_strain"].tolist()


def test_context_joins_features_and_inputs():
    context = np.array([[19.0, 0.0], [12.0, 1.0], [19.0, 1.0]])
    values, names = SURROGATE.summary_features(histories(), context)
    assert names[-2:] == ["context_0", "context_1"] and np.array_equal(values[:, -2:], context)
    state = SURROGATE.fit_inputs(histories(), context)
    _, scaled = SURROGATE.apply_inputs(state, histories(), context)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(scaled.std(axis=0), 1, rtol=1e-6)


def test_inputs_are_scaled_over_the_fitted_cases_only():
    state = SURROGATE.fit_inputs(histories(), NONE)
    scaled, _ = SURROGATE.apply_inputs(state, histories(), NONE)
    np.testing.assert_allclose((scaled**2).mean(axis=(0, 2)), 1, rtol=1e-4)
    twice, _ = SURROGATE.apply_inputs(state, 2 * histories(), NONE)
    np.testing.assert_allclose(twice[:, :-1], 2 * scaled[:, :-1], rtol=1e-6)
    rest, _ = SURROGATE.apply_inputs(state, 0 * histories(), NONE)
    assert not rest.any(), "zero means rest"


def test_memories_of_a_ramp_are_those_of_a_maxwell_branch():
    """q' = r - q/T gives q = r T (1 - exp(-t/T)); the exact step reproduces it for strain linear in time.

    Creep is the ramp less that.
    """
    samples, rate_per_ms = 101, 1e-3
    ramp = (rate_per_ms * np.arange(float(samples)))[None, None].astype(np.float32)
    state = {"size": np.ones(2 + len(MEMORY_MS), dtype=np.float32), "context_mean": 0.0, "context_deviation": 1.0}
    channels, _ = SURROGATE.apply_inputs(state, ramp, np.empty((1, 0)))
    t = np.arange(samples)
    np.testing.assert_allclose(channels[0, 0], ramp[0, 0])
    for memory, time_ms in zip(channels[0, 1:-1], MEMORY_MS, strict=True):
        expected = rate_per_ms * time_ms * -np.expm1(-t / time_ms)
        if time_ms >= SLOW_MS:
            expected = ramp[0, 0] - expected
        # float32.
        np.testing.assert_allclose(memory, expected, rtol=2e-5, atol=2e-7)


def test_network_remembers_what_came_first():
    """The same pulses in another order must be able to give another answer, and a late change must not go unseen."""
    torch.manual_seed(1)
    network = SURROGATE.build_network(6, (101,), 0, 12, Network().model_dump()).eval()
    state = SURROGATE.fit_inputs(histories(), NONE)
    t = np.arange(101.0)
    early, late = (0.06 * np.exp(-(((t - centre) / 6) ** 2)) for centre in (25, 70))
    pulses = np.stack([early - late, late - early, early])[:, None].astype(np.float32)
    inputs, context = SURROGATE.apply_inputs(state, pulses, NONE)
    with torch.inference_mode():
        first, swapped, alone = network(torch.from_numpy(inputs), torch.from_numpy(context))
    assert not torch.allclose(first, swapped, atol=1e-3)
    assert not torch.allclose(first, alone, atol=1e-3)


def test_every_target_has_a_link_and_a_possible_range():
    names = target_names()
    links = SURROGATE.target_links(names)
    assert {link.kind for link in links} == {"asinh", "logit"}
    for name, link in zip(names, links, strict=True):
        assert link.clip == ((0, 1) if "failed" in name else (0, np.inf)), name
        assert (link.kind == "logit") == ("failed" in name and not name.endswith("spread")), name
    assert sorted(name for group in SURROGATE.target_groups.values() for name in group) == sorted(names)


def test_network_of_the_configuration_treats_cases_apart():
    torch.manual_seed(0)
    network = SURROGATE.build_network(6, (101,), 2, 12, Network().model_dump()).eval()
    inputs, context = torch.randn(9, 6, 101), torch.randn(9, 2)
    with torch.inference_mode():
        together, alone = network(inputs, context), network(inputs[4:5], context[4:5])
        moved = network(inputs, context + 1)
    assert together.shape == (9, 12)
    # float32 sums in another order.
    torch.testing.assert_close(alone[0], together[4], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(moved, together)


def test_members_share_what_depends_on_no_weight():
    torch.manual_seed(2)
    one, other = (SURROGATE.build_network(6, (101,), 2, 12, Network().model_dump()).eval() for _ in range(2))
    inputs, context = torch.randn(5, 6, 101), torch.randn(5, 2)
    with torch.inference_mode():
        prepared = one.prepare(inputs)
        assert torch.equal(one.respond(prepared, context), one(inputs, context))
        assert torch.equal(other.respond(prepared, context), other(inputs, context))
