"""Cables on a torch device against the compiled engine; conservation, batches, what is refused; the block solver."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from understudy.calcium.block_tridiagonal import inverse_3x3, solve_block_tridiagonal
from understudy.calcium.cable_dynamics import CableRun, CableSimulation, total_calcium_uM_um3
from understudy.calcium.cable_geometry import branched_cable, uniform_cable
from understudy.calcium.cable_verification import bump
from understudy.calcium.device_cables import CHECK_EVERY, DeviceCables
from understudy.calcium.gate_updates import relax_sdirk
from understudy.calcium.gated_channel import RYANODINE, network_channel, visited_domain
from understudy.calcium.parameters import Parameters
from understudy.calcium.rate_network import CALCIUM, Drive, RateForm, RateNetwork
from understudy.calcium.stimulus import NO_STIMULUS, Stimulus
from understudy.calcium.wave_maps import mapped_waves
from understudy.errors import InputError

CPU = torch.device("cpu")
SINGLE = RateForm(RYANODINE, (CALCIUM,), sees_gates=True)
CHAIN = RateForm(RYANODINE, (CALCIUM,), gating="chain", powers=(1, 0), hidden=(9, 5))
FILTERED = RateForm(RYANODINE, (CALCIUM,), gating="chain", filter_s=2.5e-3, sees_gates=True, powers=(1, 0))
PAIR = RateForm(RYANODINE, (CALCIUM,), gating="pair", powers=(1, 1))
# Rounding alone: another order of elimination and other exponentials. Seen were 3e-10, in open probabilities of 1e-4.
TOLERANCE = {"rtol": 1e-9, "atol": 1e-15}


def receptors(form: RateForm, seed: int = 5) -> RateNetwork:
    """A network of random weights about the receptors' own rates, so that it makes waves."""
    network, own = RateNetwork(form, seed), Parameters()
    low, high = CALCIUM.ends
    opening = own.opening_per_uM4_s * math.exp(2 * (low + high))
    # The second gate of a pair is nearly open at rest with these.
    rates = [opening, own.closing_per_s, own.inactivation_per_s, own.recovery_per_s][: form.n_rates]
    with torch.no_grad():
        network.w3 *= 0.3
        network.linear.zero_()
        # The fourth power of calcium.
        network.linear[0, 0] = 2 * (high - low)
        network.b3.copy_(torch.log(torch.tensor(rates, dtype=torch.float64)))
    return network


class TorchChannel:
    """Any network in the compiled solver of concentrations, step by step."""

    def __init__(self, network: RateNetwork) -> None:
        self.network, self.n_states = network, network.form.n_states

    def rest(self, u: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return np.moveaxis(self.network.rest(torch.from_numpy(u.copy())[..., None]).numpy(), -1, 0)

    def advance(self, states: np.ndarray, u: np.ndarray, dt_s: float) -> np.ndarray:
        own = torch.from_numpy(np.moveaxis(states, 0, -1).copy())
        with torch.no_grad():
            after = self.network.advance(own, torch.from_numpy(u.copy())[..., None], dt_s)
            states[:] = np.moveaxis(after.numpy(), -1, 0)
            return self.network.open_probability(after).numpy()


def three_cables(n: int = 61):
    """Cables of 16 um and parameters that all differ."""
    cables = [uniform_cable(16.0, 0.5, radius, n) for radius in (0.22, 0.25, 0.28)]
    return cables, [replace(Parameters(), ryanodine_per_um2=density) for density in (3.0, 3.5, 4.0)]


def assert_equal_runs(found: CableRun, expected: CableRun) -> None:
    for name in ("arrival_s", "peak_uM", "time_s", "traces", "concentrations_uM", "states"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), err_msg=name, **TOLERANCE)


@pytest.mark.parametrize("update", ["exponential", "sdirk"])
@pytest.mark.parametrize("form", [SINGLE, CHAIN, FILTERED], ids=["single", "chain", "filtered"])
def test_a_wave_is_that_of_the_compiled_engine(form, update):
    cables, own = three_cables()
    network, sampled = receptors(form), {"sites": [3, 40], "every": 3}
    channel = network_channel(network, update=update)
    expected = CableSimulation(cables, own, 1e-4, channel=channel, check_grid=False).run(0.05, Stimulus(), **sampled)
    assert np.isfinite(expected.arrival_s).all() and np.ptp(expected.arrival_s, axis=1).min() > 5e-3
    device = DeviceCables(cables, own, 1e-4, network, CPU, update=update, check_grid=False)
    assert_equal_runs(device.run(0.05, Stimulus(), **sampled), expected)


def test_two_gates_and_two_passes_are_those_of_the_step_by_step_engine():
    """Pairs of gates have no compiled form; a run in two parts is one run, also of stimuli that differ."""
    cables, own = three_cables(48)
    network, stimuli = receptors(PAIR), [Stimulus(), Stimulus((0.001, 0.01)), Stimulus(density_uM_um_per_s=3000.0)]
    options = {"passes": 2, "check_grid": False}
    whole = CableSimulation(cables, own, 1e-4, channel=TorchChannel(network), **options)
    parts = DeviceCables(cables, own, 1e-4, network, CPU, update="exponential", **options)
    sampled = {"sites": [20], "every": 2}
    expected, first = whole.run(0.06, stimuli, **sampled), parts.run(0.015, stimuli, **sampled)
    assert np.isfinite(expected.arrival_s).all() and not np.isfinite(first.arrival_s).all()
    second = parts.run(0.045, stimuli, **sampled)
    joined = {name: np.concatenate([getattr(each, name) for each in (first, second)], axis=axis)
              for name, axis in (("time_s", 0), ("traces", 1))}  # fmt: skip
    assert_equal_runs(replace(second, **joined), expected)


def test_a_batch_is_its_cables():
    cables, own = three_cables(24)
    network = receptors(CHAIN)
    together = DeviceCables(cables, own, 1e-4, network, CPU, check_grid=False).run(0.02, Stimulus(), sites=[20])
    for k in range(3):
        alone = DeviceCables(cables[k : k + 1], own[k], 1e-4, network, CPU, check_grid=False)
        found = alone.run(0.02, Stimulus(), sites=[20])
        parts = {name: values[k : k + 1] for name, values in vars(together).items() if name != "time_s"}
        assert_equal_runs(found, replace(together, **parts))
    assert len({float(arrival) for arrival in together.arrival_s[:, 12]}) == 3


def test_a_closed_cell_keeps_its_calcium():
    closed, cable = Parameters(plasma_scale=0.0), uniform_cable(16.0, 0.5, 0.25, 50)
    initial = bump(cable, closed)
    device = DeviceCables([cable], closed, 1e-4, receptors(SINGLE), CPU, initial_uM=initial, check_grid=False)
    run = device.run(0.05, NO_STIMULUS)
    assert run.peak_uM.max() > 1.0 and run.concentrations_uM[0, :, 1].min() < 200.0
    before, after = (total_calcium_uM_um3(cable, closed, values) for values in (initial, run.concentrations_uM[0]))
    assert after == pytest.approx(before, rel=1e-12)


def test_a_lost_concentration_is_named_as_the_compiled_engine_names_it():
    """In the midst of a stretch between two looks from the host."""
    cables, own = three_cables(24)
    network, late = receptors(CHAIN), Stimulus((0.0203,), density_uM_um_per_s=2e7)
    stimuli = [Stimulus(), late, Stimulus()]
    messages = []
    for engine in (
        CableSimulation(cables, own, 4e-4, channel=network_channel(network), check_grid=False),
        DeviceCables(cables, own, 4e-4, network, CPU, check_grid=False),
    ):
        with pytest.raises(InputError, match=r"in cable 1 at node \d+ .* likely cause: a step of 0.0004 s") as refused:
            engine.run(0.1, stimuli)
        messages.append(re.sub(r"found \S+ in", "found in", str(refused.value)))
    assert messages[0] == messages[1]
    steps = float(re.search(r"t = (\S+) s", messages[0]).group(1)) / 4e-4
    assert 50 < steps < CHECK_EVERY


def test_the_monitor_counts_each_cable():
    cables = [uniform_cable(16.0, 0.5, 0.25, 24)] * 9
    densities = np.linspace(0.0, 4.0, 9)
    own, network = [replace(Parameters(), ryanodine_per_um2=float(x)) for x in densities], receptors(CHAIN)
    seen = torch.from_numpy(np.geomspace(0.03, 0.5, 500))[:, None]
    domain = visited_domain(network.features(seen, None, torch.zeros((500, 2))).numpy())
    channel = network_channel(network, domain=domain, watch_every=3)
    CableSimulation(cables, own, 1e-4, channel=channel, check_grid=False).run(0.03, Stimulus())
    device = DeviceCables(cables, own, 1e-4, network, CPU, domain=domain, watch_every=3, check_grid=False)
    device.run(0.03, Stimulus())
    assert device.outside_share.mean() == pytest.approx(channel.excursion.share, rel=1e-12)
    assert device.outside_share[-1] > 2 * device.outside_share[0]


def test_maps_are_the_same_on_a_device():
    density, radius = np.array([1.0, 3.0, 4.0]), np.array([0.15, 0.25, 0.3])
    watched = receptors(CHAIN), visited_domain(np.zeros((1, 1)))
    expected = mapped_waves(density, radius, 1e-4, 8.0, watched)
    found = mapped_waves(density, radius, 1e-4, 8.0, watched, CPU)
    assert (expected.speed_um_per_s > 0).tolist() == [False, True, True]
    for name in ("speed_um_per_s", "peak_uM", "duration_s"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), **TOLERANCE)
    assert found.flagged.mean() == pytest.approx(expected.flagged.mean(), rel=1e-12) and found.flagged.max() > 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cables": [branched_cable([-1, 0, 0], 4.0, 0.5, 0.25, 0.5)]}, "cables: found a branched cable"),
        ({"cables": [uniform_cable(8.0, 0.5, 0.25, n) for n in (24, 25)]}, "another number of nodes in cable 1"),
        ({"cables": []}, "cables: found none"),
        ({"parameters": Parameters(ip3_receptor_per_um2=1.0)}, "ip3_receptor_per_um2: found 1 for cable 0"),
        ({"parameters": Parameters(calcium_channel_per_um2=0.1)}, "calcium_channel_per_um2: found 0.1 for cable 0"),
        ({"dt_s": 1e-3}, "dt_s: found 0.001 for cable 0"),
        ({"update": "euler"}, "update: found 'euler', accepted on a device are exponential, sdirk"),
        ({"passes": 3}, "passes: found 3"),
        ({"domain": visited_domain(np.zeros((1, 2)))}, r"domain: found 576 cells, accepted are 24\^1"),
        (
            {"network": RateNetwork(RateForm("sodium channel", (Drive("voltage", "mV", "linear", -100.0, 60.0),)))},
            "found one of the channel 'sodium channel'",
        ),
    ],
)
def test_what_a_device_does_not_take_is_named(change, words):
    usual = {"cables": [uniform_cable(8.0, 0.5, 0.25, 24)], "parameters": Parameters(), "dt_s": 1e-4}
    usual |= {"network": receptors(CHAIN), "device": CPU, "check_grid": False}
    with pytest.raises(InputError, match=words):
        DeviceCables(**(usual | change))


def test_courses_of_voltage_and_ip3_are_refused():
    device = DeviceCables(
        [uniform_cable(8.0, 0.5, 0.25, 24)], Parameters(), 1e-4, receptors(CHAIN), CPU, check_grid=False
    )
    for name in ("voltage_mV", "ip3_uM"):
        with pytest.raises(InputError, match=f"{name}: found a course in a stimulus"):
            device.run(0.01, Stimulus(**{name: np.zeros(100)}))


@pytest.mark.parametrize("diagonal_couplings", [True, False])
@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 13])
def test_cyclic_reduction_solves(n, diagonal_couplings):
    """Against dense matrices; diagonals outweigh the rest, as those of diffusion do."""
    rng = np.random.default_rng(n)
    lower, upper = rng.uniform(-1, 1, (2, 3, 3, n, 4))
    if diagonal_couplings:
        lower, upper = lower * np.eye(3)[..., None, None], upper * np.eye(3)[..., None, None]
    lower[:, :, 0], upper[:, :, -1] = 0, 0
    blocks = rng.uniform(-1, 1, (3, 3, n, 4)) + 8 * np.eye(3)[..., None, None]
    right = rng.normal(size=(3, n, 4))
    whole = np.zeros((4, n, 3, n, 3))
    for i in range(n):
        for j, part in ((i - 1, lower), (i, blocks), (i + 1, upper)):
            if 0 <= j < n:
                whole[:, i, :, j] = np.moveaxis(part[:, :, i], -1, 0)
    expected = np.linalg.solve(whole.reshape(4, 3 * n, 3 * n), right.transpose(2, 1, 0).reshape(4, 3 * n, 1))
    if diagonal_couplings:
        lower, upper = (np.einsum("iink->ink", part) for part in (lower, upper))
    arrays = (torch.from_numpy(np.ascontiguousarray(values)) for values in (lower, blocks, upper, right))
    found = solve_block_tridiagonal(*arrays).numpy()
    np.testing.assert_allclose(found, expected.reshape(4, n, 3).transpose(2, 1, 0), rtol=1e-12, atol=1e-14)


def test_inverses_of_blocks():
    blocks = torch.from_numpy(np.random.default_rng(1).normal(size=(3, 3, 20)))
    product = torch.einsum("ijk,jlk->ilk", inverse_3x3(blocks), blocks)
    np.testing.assert_allclose(product.numpy(), np.broadcast_to(np.eye(3)[..., None], (3, 3, 20)), atol=1e-10)


@pytest.mark.parametrize("form", [SINGLE, CHAIN], ids=["single", "chain"])
def test_sdirk_gates_are_the_compiled_ones(form):
    """Steps from short ones to those that the limits of the simplex cut, with rates far apart."""
    rng, network = np.random.default_rng(4), RateNetwork(form, 7)
    with torch.no_grad():
        network.w3 *= 6.0
    channel = network_channel(network, update="sdirk")
    states = channel.rest(10 ** rng.uniform(-1.5, 1.5, (1, 40, 8)))
    expected = torch.from_numpy(np.moveaxis(states, 0, -1).copy())
    for dt in (1e-5, 3e-4, 0.02, 1.0):
        u = 10 ** rng.uniform(-1.5, 1.5, (1, 40, 8))
        channel.advance(states, u, dt)
        with torch.no_grad():
            expected = network.advance(expected, torch.from_numpy(u)[..., None], dt, relax_sdirk)
        assert (expected >= 0).all() and (expected.sum(-1) <= 1).all()
        np.testing.assert_allclose(np.moveaxis(states, 0, -1), expected.numpy(), atol=1e-10)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("form", [SINGLE, CHAIN, FILTERED, PAIR], ids=["single", "chain", "filtered", "pair"])
def test_a_gpu_gives_the_same_wave(form):
    cables, own = three_cables()
    runs = [
        DeviceCables(cables, own, 1e-4, receptors(form), device, check_grid=False).run(0.05, Stimulus(), sites=[40])
        for device in (CPU, torch.device("cuda"))
    ]
    assert np.isfinite(runs[0].arrival_s).all()
    assert_equal_runs(runs[1], runs[0])
