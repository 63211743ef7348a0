"""Cables: geometry, refusals, independence of lanes and pieces, exchangeable receptors."""

import math
import warnings

import numpy as np
import pytest

from understudy.calcium.axisymmetric import Dendrite, simulate_dendrite
from understudy.calcium.cable_checks import longest_step_s
from understudy.calcium.cable_dynamics import CableSimulation, simulate_cables
from understudy.calcium.cable_geometry import CoarseGridWarning, branched_cable, uniform_cable
from understudy.calcium.cable_verification import bump, small_tree
from understudy.calcium.parameters import Parameters, stationary_ryanodine
from understudy.calcium.stimulus import NO_STIMULUS, Stimulus
from understudy.calcium.waves import nrmse, wave_speed, width_at_half_height_s
from understudy.errors import InputError

OWN = Parameters()


def short_cable(er_radius_um: float = 0.25):
    return uniform_cable(4.0, 0.5, er_radius_um, 32)


class NumpyReceptors:
    """Keizer-Levine receptors by the SDIRK method again, in numpy and through the interface for other channels."""

    n_states = 3

    def rest(self, u):
        return np.stack(stationary_ryanodine(OWN, u)[1:])

    def _euler(self, states, u, h):
        o2, c1, c2 = states
        f1, f2, f3 = (1 / (1 + h * rate) for rate in (OWN.opening_per_uM4_s * u**4, OWN.second_closing_per_s,
                                                      OWN.recovery_per_s))  # fmt: skip
        open2 = OWN.second_opening_per_uM3_s * u**3
        o1 = (1 - o2 * f2 - c1 * f1 - c2 * f3) / (
            1 + h * (open2 * f2 + OWN.closing_per_s * f1 + OWN.inactivation_per_s * f3)
        )
        return np.stack([
            (o2 + h * open2 * o1) * f2,
            (c1 + h * OWN.closing_per_s * o1) * f1,
            (c2 + h * OWN.inactivation_per_s * o1) * f3,
        ])  # fmt: skip

    def advance(self, states, u, dt_s):
        gamma = 1 - math.sqrt(0.5)
        first = self._euler(states, u, gamma * dt_s)
        states[:] = self._euler(states + (1 - gamma) / gamma * (first - states), u, gamma * dt_s)
        return 1 - states[1] - states[2]


class Answer:
    """A channel that answers whatever it was told."""

    n_states = 1

    def __init__(self, value):
        self.value = value

    def rest(self, u):
        return np.zeros((1, *u.shape))

    def advance(self, states, u, dt_s):
        return self.value(u)


def test_uniform_cable_holds_its_volumes():
    cable = uniform_cable(10.0, 0.5, 0.2, 40)
    assert cable.er_um3.sum() == pytest.approx(math.pi * 0.04 * 10, rel=1e-14)
    assert cable.cytosol_um3.sum() == pytest.approx(math.pi * 0.21 * 10, rel=1e-14)
    assert cable.er_membrane_um2.sum() == pytest.approx(2 * math.pi * 0.2 * 10, rel=1e-14)
    assert cable.plasma_membrane_um2.sum() == pytest.approx(2 * math.pi * 0.5 * 10, rel=1e-14)


def test_branched_cable_holds_its_volumes_and_couplings():
    parent, length = [-1, 0, 0, 1], np.array([3.0, 2.0, 1.3, 0.9])
    radius, er = np.array([0.5, 0.4, 0.3, 0.3]), np.array([0.2, 0.2, 0.1, 0.15])
    cable = branched_cable(parent, length, radius, er, 0.25)
    assert cable.cytosol_um3.sum() == pytest.approx((math.pi * (radius**2 - er**2) * length).sum(), rel=1e-13)
    assert cable.er_membrane_um2.sum() == pytest.approx((2 * math.pi * er * length).sum(), rel=1e-13)
    assert (cable.parent < np.arange(len(cable))).all()
    assert cable.position_um.max() == pytest.approx(5.9)
    assert cable.spacing_um <= 0.25
    children = np.bincount(cable.parent[1:], minlength=len(cable))
    assert sorted(children)[-1] == 2
    assert (children == 0).sum() == 2
    # In series, the couplings of an element add up to its cross-section over its length.
    first = np.flatnonzero(cable.position_um <= 3.0 + 1e-9)[1:]
    assert 1 / (1 / cable.cytosol_um[first]).sum() == pytest.approx(math.pi * 0.21 / 3.0, rel=1e-12)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: uniform_cable(4.0, 0.5, 0.5, 32), "er_radius_um: found 0.5 .* narrower"),
        (lambda: uniform_cable(4.0, 0.5, -0.1, 32), "er_radius_um: found -0.1"),
        (lambda: uniform_cable(-4.0, 0.5, 0.2, 32), "length_um: found -4"),
        (lambda: uniform_cable(4.0, 0.5, 0.2, 1), "n: found 1"),
        (lambda: branched_cable([-1, 2, 1], 1.0, 0.5, 0.2, 0.2), "parent: found 2 for element 1"),
        (lambda: branched_cable([-1, -2], 1.0, 0.5, 0.2, 0.2), "parent: found -2"),
        (lambda: branched_cable([], 1.0, 0.5, 0.2, 0.2), "parent: found no element"),
        (lambda: branched_cable([-1, 0], [1.0, 0.0], 0.5, 0.2, 0.2), "length_um: found 0 in element 1"),
        (lambda: branched_cable([-1, 0], 1.0, [0.5, 0.1], 0.2, 0.2), r"er_radius_um: found 0.2 .*element 1"),
        (lambda: branched_cable([-1], 1.0, 0.5, 0.2, 0.0), "spacing_um: found 0"),
        (lambda: Dendrite(4.0, 0.5, 0.6, 32), "er_radius_um: found 0.6"),
        (lambda: Dendrite(4.0, 0.5, 0.2, 32, cytosol_nodes=0), "cytosol_nodes: found 0"),
    ],
)
def test_impossible_geometry_is_refused(build, message):
    with pytest.raises(InputError, match=message):
        build()


def test_coarse_grid_warns_with_the_rule():
    with pytest.warns(CoarseGridWarning, match=r"found 1 um.*up to 0\.134 um.*four times"):
        CableSimulation([uniform_cable(32.0, 0.5, 0.25, 32)], OWN, 2e-5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        CableSimulation([short_cable()], OWN, 2e-5)
        CableSimulation([uniform_cable(32.0, 0.5, 0.25, 32)], Parameters(ryanodine_per_um2=0.0), 2e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dt_s": 0.0}, "dt_s: found 0"),
        ({"dt_s": 1e-3}, r"dt_s: found 0.001 .*up to 0.000461 s.*'euler' takes any"),
        ({"scheme": "explicit"}, "scheme: found 'explicit'"),
        ({"passes": 3}, "passes: found 3"),
        ({"initial_uM": np.ones((5, 3))}, "initial_uM: found the shape"),
        ({"initial_uM": -np.ones((32, 3))}, "initial_uM: found a negative"),
        ({"cables": []}, "cables: found none"),
        ({"cables": [short_cable(), small_tree(1.0)]}, "another topology in cable 1"),
        ({"parameters": [OWN, OWN]}, "parameters: found 2"),
        ({"cables": [short_cable(), short_cable()], "lanes": False}, "lanes: found False"),
    ],
)  # fmt: skip
def test_bad_arguments_are_refused(arguments, message):
    arguments = {"cables": [short_cable()], "parameters": OWN, "dt_s": 2e-5, "check_grid": False, **arguments}
    with pytest.raises(InputError, match=message):
        CableSimulation(arguments.pop("cables"), arguments.pop("parameters"), arguments.pop("dt_s"), **arguments)


def test_bad_runs_are_refused():
    simulation = CableSimulation([short_cable()], OWN, 2e-5)
    with pytest.raises(InputError, match="duration_s: found"):
        simulation.run(0.0, NO_STIMULUS)
    with pytest.raises(InputError, match="sites: found 40"):
        simulation.run(1e-3, NO_STIMULUS, sites=[40])
    with pytest.raises(InputError, match="voltage_mV: found 3 steps"):
        simulation.run(1e-3, Stimulus(voltage_mV=np.zeros(3)))
    with pytest.raises(InputError, match=r"dt_s: found 0\.01"):
        simulate_dendrite(Dendrite(4.0, 0.5, 0.25, 16), OWN, NO_STIMULUS, 0.1, 0.01)


@pytest.mark.parametrize("dt_s", [4e-4, 2e-5])
def test_negative_concentrations_are_said_with_time_place_and_cause(dt_s):
    """A start far from equilibrium rings in Crank-Nicolson; backward Euler takes it."""
    initial = np.tile([0.05, 250.0, 160.0], (32, 1))
    initial[:4, 0] = 400.0 if dt_s > 1e-4 else 4e4
    with pytest.raises(InputError, match=r"found -.* in cable 0 at node \d+ \(x = .* um\), t = .* s; .*'euler'"):
        simulate_cables([short_cable()], OWN, NO_STIMULUS, 0.02, dt_s, initial_uM=initial)
    run = simulate_cables([short_cable()], OWN, NO_STIMULUS, 0.02, dt_s, initial_uM=initial, scheme="euler")
    assert (run.concentrations_uM >= 0).all()


def test_states_that_are_no_numbers_are_said():
    with pytest.raises(InputError, match=r"not finite in cable 1 at node \d+ .*t = 2e-05 s.*likely cause"):
        simulate_cables(
            [short_cable()] * 3, OWN, [NO_STIMULUS, Stimulus(density_uM_um_per_s=1e308), NO_STIMULUS], 1e-3, 2e-5
        )


def test_channels_are_checked():
    for value, message in (
        (lambda u: np.where(u > 0, np.nan, u), "open probability nan in cable 0 at node 0"),
        (lambda u: 1.5 + 0 * u, r"open probability 1\.5"),
        (lambda u: np.zeros(7), "shape"),
    ):
        with pytest.raises(InputError, match=message):
            simulate_cables([short_cable()], OWN, NO_STIMULUS, 1e-3, 2e-5, channel=Answer(value))


def test_bits_do_not_depend_on_the_other_cables():
    """Alone in lanes, in another lane, among others: the same bits. Without lanes the same to rounding."""
    radii = np.linspace(0.15, 0.3, 11)
    cables = [short_cable(r) for r in radii]
    own = [Parameters(ryanodine_per_um2=2.0 + r) for r in radii]
    together = simulate_cables(cables, own, Stimulus(), 0.01, 2e-5)
    backwards = simulate_cables(cables[::-1], own[::-1], Stimulus(), 0.01, 2e-5)
    np.testing.assert_array_equal(backwards.concentrations_uM[::-1], together.concentrations_uM)
    np.testing.assert_array_equal(backwards.arrival_s[::-1], together.arrival_s)
    alone = simulate_cables(cables[9:10], own[9:10], Stimulus(), 0.01, 2e-5, lanes=True)
    np.testing.assert_array_equal(alone.concentrations_uM[0], together.concentrations_uM[9])
    scalar = simulate_cables(cables[9:10], own[9:10], Stimulus(), 0.01, 2e-5, lanes=False)
    np.testing.assert_allclose(scalar.concentrations_uM, alone.concentrations_uM, rtol=1e-11)
    assert np.isfinite(together.arrival_s[-1]).all()  # a wave did run


@pytest.mark.parametrize("scheme", ["crank-nicolson", "euler"])
def test_pieces_make_the_whole(scheme):
    whole = simulate_cables([short_cable()], OWN, Stimulus(), 0.02, 2e-5, sites=[3, 20], every=7, scheme=scheme)
    simulation = CableSimulation([short_cable()], OWN, 2e-5, scheme=scheme)
    first = simulation.run(0.0047, Stimulus(), sites=[3, 20], every=7)
    second = simulation.run(0.0153, Stimulus(), sites=[3, 20], every=7)
    np.testing.assert_array_equal(second.concentrations_uM, whole.concentrations_uM)
    np.testing.assert_array_equal(second.arrival_s, whole.arrival_s)
    np.testing.assert_array_equal(np.concatenate([first.traces, second.traces], axis=1), whole.traces)
    np.testing.assert_allclose(np.concatenate([first.time_s, second.time_s]), whole.time_s, rtol=1e-14)


def test_exchangeable_receptors_give_the_same_wave():
    """The same equations through the interface for channels: equal to rounding, which a front amplifies a little."""
    cables = [short_cable(0.25), short_cable(0.2)]
    expected = simulate_cables(cables, OWN, Stimulus(), 0.02, 2e-5, sites=[16], every=10)
    found = simulate_cables(cables, OWN, Stimulus(), 0.02, 2e-5, sites=[16], every=10, channel=NumpyReceptors())
    np.testing.assert_allclose(found.concentrations_uM, expected.concentrations_uM, rtol=1e-9)
    np.testing.assert_allclose(found.traces, expected.traces, rtol=1e-8)
    np.testing.assert_allclose(found.arrival_s, expected.arrival_s, rtol=1e-9)
    np.testing.assert_allclose(found.states, expected.states, rtol=1e-8)


def test_optional_channels_keep_rest_and_act():
    """IP3 receptors and voltage-gated channels leave rest alone; IP3 and depolarisation raise calcium."""
    for changes in ({"ip3_receptor_per_um2": 17.3}, {"calcium_channel_per_um2": 1.0}):
        own = Parameters(**changes)
        for scheme in ("crank-nicolson", "euler"):
            run = simulate_cables([short_cable()], own, NO_STIMULUS, 0.2, 1e-4, scheme=scheme)
            rest = [own.rest_cytosol_uM, own.rest_er_uM, own.rest_calbindin_uM]
            np.testing.assert_allclose(run.concentrations_uM[0], np.tile(rest, (32, 1)), rtol=1e-9)
    own = Parameters(calcium_channel_per_um2=1.0, ryanodine_per_um2=0.0)
    voltage = np.where(np.arange(1000) < 200, 0.0, -65.0)
    run = simulate_cables([short_cable()], own, Stimulus(onsets_s=(), voltage_mV=voltage), 0.1, 1e-4)
    assert run.peak_uM.min() > 5 * own.rest_cytosol_uM
    own = Parameters(ip3_receptor_per_um2=17.3, ryanodine_per_um2=0.0)
    run = simulate_cables([short_cable()], own, Stimulus(onsets_s=(), ip3_uM=np.full(1000, 1.0)), 0.1, 1e-4)
    assert run.peak_uM.min() > 2 * own.rest_cytosol_uM


def test_wave_measures():
    x = np.linspace(0, 10, 101)
    arrival = np.stack([0.01 + x / 250.0, np.where(x > 7, np.inf, x)])
    np.testing.assert_allclose(wave_speed(x, arrival, 10.0), [250.0, 0.0], rtol=1e-12)
    t = np.linspace(0, 1, 2001)
    pulse = 0.05 + 3 * np.exp(-(((t - 0.4) / 0.05) ** 2))
    assert width_at_half_height_s(t, pulse) == pytest.approx(2 * 0.05 * math.sqrt(math.log(2)), rel=1e-4)
    assert math.isnan(width_at_half_height_s(t[:850], pulse[:850]))
    assert nrmse(np.array([0.0, 1.5]), np.array([0.0, 2.0])) == pytest.approx(math.sqrt(0.125) / 2)


def test_longest_step_follows_the_buffer():
    assert longest_step_s(OWN) == pytest.approx(2 / (27 * 160 + 19))
    assert longest_step_s(Parameters(calbindin_uM=40.0)) > 3.9 * longest_step_s(OWN)


def test_bump_is_local():
    tree = small_tree()
    initial = bump(tree, OWN)
    assert (initial[:, 0] == 40.0).sum() == (tree.position_um < 2).sum() > 1
