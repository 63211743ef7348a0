"""The surrogate of thresholds: what it must not depend on, and that it learns the law it is built for."""

import numpy as np
import torch

from understudy.surrogate.config import Training
from understudy.surrogate.definition import Cases
from understudy.surrogate.ensemble import fit_ensemble, predict_links
from understudy.tms.surrogate import LEAST_DRIVE, SURROGATE
from understudy.tms.terminal_features import CHANNELS, CONTEXT, TERMINALS
from understudy.tms.thresholds import TARGET

NETWORK = {"width": 16, "hidden": 16, "sharpness": 20.0}


class Silent:
    """A progress report for nobody."""

    def epoch(self, *_):
        pass

    def finished(self, *_):
        pass


def cases(count: int, seed: int) -> Cases:
    """Toy thresholds: the least local critical over linear polarisation, times a law of one channel."""
    generator = np.random.default_rng(seed)
    inputs = generator.normal(size=(count, len(CHANNELS), TERMINALS)).astype(np.float32)
    inputs[:, 0] = -np.sort(-np.exp(-2 + 0.5 * inputs[:, 0]), axis=1)
    inputs[:, 1] = 30 * np.exp(0.1 * inputs[:, 1])
    inputs[: count // 4, :, 6:] = 0
    context = np.eye(len(CONTEXT))[generator.integers(len(CONTEXT), size=count)]
    critical = inputs[:, 1] * np.exp(0.05 * np.tanh(inputs[:, 6])) * np.exp(0.1 * context[:, :1])
    there = inputs[:, 0] > 0
    threshold = np.where(there, critical / np.where(there, inputs[:, 0], 1), np.inf).min(axis=1)
    return Cases(inputs, context, threshold[:, None], np.arange(count) // 10, np.arange(count))


def network_of(some: Cases):
    state = SURROGATE.fit_inputs(some.inputs, some.context)
    x, c = SURROGATE.apply_inputs(state, some.inputs, some.context)
    torch.manual_seed(1)
    module = SURROGATE.build_network(x.shape[1], x.shape[2:], c.shape[1], 1, NETWORK).eval()
    with torch.no_grad():
        for value in module.parameters():
            value.add_(0.1 * torch.randn_like(value))
    return state, module


@torch.inference_mode()
def outputs(state, module, inputs, context):
    return module(*(torch.from_numpy(a) for a in SURROGATE.apply_inputs(state, inputs, context))).numpy()


def test_the_order_of_terminals_does_not_matter():
    some = cases(20, 1)
    state, module = network_of(some)
    order = np.random.default_rng(2).permutation(TERMINALS)
    once, again = (outputs(state, module, x, some.context) for x in (some.inputs, some.inputs[:, :, order]))
    np.testing.assert_allclose(again, once, rtol=1e-4, atol=1e-5)


def test_cases_of_a_batch_are_not_coupled():
    some = cases(20, 1)
    state, module = network_of(some)
    once = outputs(state, module, some.inputs, some.context)
    alone = outputs(state, module, some.inputs[7:8], some.context[7:8])
    np.testing.assert_allclose(alone, once[7:8], rtol=1e-5, atol=1e-6)


def test_terminals_that_are_not_there_do_nothing():
    some = cases(40, 3)
    state, module = network_of(some)
    x, _ = SURROGATE.apply_inputs(state, some.inputs, some.context)
    assert (x[:10, 0, 6:] == LEAST_DRIVE).all() and not x[:10, 1:, 6:].any()
    fewer = outputs(state, module, some.inputs[:10, :, :6], some.context[:10])
    np.testing.assert_allclose(outputs(state, module, some.inputs[:10], some.context[:10]), fewer, atol=1e-3)


def test_absent_terminals_do_not_shape_the_transform():
    some = cases(40, 4)
    padded = np.concatenate([some.inputs, np.zeros_like(some.inputs)], axis=2)
    first, second = (SURROGATE.fit_inputs(x, some.context) for x in (some.inputs, padded))
    for name in first:
        np.testing.assert_allclose(second[name], first[name])


def test_it_learns_critical_polarisations():
    some = cases(1000, 5)
    stopping = some.group % 6 == 0
    training = Training(members=1, epochs=30, patience=30, batch_size=64, learning_rate=5e-3, weight_decay=1e-3)
    ensemble = fit_ensemble(
        SURROGATE,
        some,
        [TARGET],
        stopping,
        NETWORK,
        training,
        [np.random.default_rng(1)],
        torch.device("cpu"),
        Silent(),
    )
    new = cases(400, 6)
    mean, *_ = predict_links(SURROGATE, ensemble, new.inputs, new.context, torch.device("cpu"))
    error = np.abs(ensemble.target_transform.inverse(mean) / new.targets - 1).mean()
    scalar = SURROGATE.scalar_feature(new.inputs)
    spread = np.std(np.log(new.targets[:, 0]) + scalar)
    assert error < 0.03 < 0.06 < spread, "better than one critical polarisation for all"


def test_features_of_the_baselines():
    some = cases(30, 7)
    values, names = SURROGATE.summary_features(some.inputs, some.context)
    assert values.shape == (30, len(names)) and np.isfinite(values).all()
    np.testing.assert_allclose(values[:, 0], SURROGATE.scalar_feature(some.inputs))
    np.testing.assert_allclose(np.exp(values[:, 0]), some.inputs[:, 0].max(axis=1), rtol=1e-5)


def test_the_link_is_a_logarithm():
    transform = SURROGATE.target_links([TARGET])[0]
    assert transform.kind == "asinh"
    # asinh(y) = log(2 y) + 1/(4 y^2) ...: at 20 V/m the difference is below a thousandth.
    np.testing.assert_allclose(np.arcsinh(20.0), np.log(40.0), atol=1e-3)
