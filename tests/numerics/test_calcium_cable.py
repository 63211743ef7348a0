"""The calcium cable: its verification table, one step against a dense nonlinear solve, positivity for any channel."""

import numpy as np
import pytest

from understudy.calcium.cable_dynamics import CableSimulation, simulate_cables
from understudy.calcium.cable_geometry import branched_cable, uniform_cable
from understudy.calcium.cable_verification import bump, small_tree, verify_cable
from understudy.calcium.membranes import membrane_fluxes
from understudy.calcium.parameters import Parameters, stationary_ryanodine
from understudy.calcium.reference_cases import front_speed, recovery_curve
from understudy.calcium.stimulus import NO_STIMULUS, Stimulus
from understudy.calcium.waves import richardson

VERIFICATION = verify_cable()


@pytest.mark.parametrize("line", VERIFICATION, ids=lambda line: line["name"])
def test_verification(line):
    assert line["passed"], line


def test_midpoint_rule_on_a_tree_holds_its_equations():
    """One Crank-Nicolson step satisfies the nonlinear midpoint equations that numpy writes down separately.

    Two passes leave the square of a square of the step's change: 1e-9 of the largest term for 1 us.
    """
    own, tree, dt = Parameters(), small_tree(0.5), 1e-6
    rng = np.random.default_rng(4)
    n = len(tree)
    before = np.column_stack([rng.uniform(0.2, 4, n), rng.uniform(50, 250, n), rng.uniform(30, 140, n)])
    simulation = CableSimulation([tree], own, dt, initial_uM=before, passes=2, check_grid=False)
    run = simulation.run(dt, NO_STIMULUS)
    after = run.concentrations_uM[0]
    # The receptors of the first step's middle: the stationary ones half a step later, at frozen calcium the same.
    o1, o2, _, _ = stationary_ryanodine(own, before[:, 0])
    middle = 0.5 * (before + after)
    u, e, b = middle.T
    er, plasma = membrane_fluxes(own, u, e, o1 + o2)
    bound = tree.cytosol_um3 * (own.unbinding_per_s * (own.calbindin_uM - b) - own.binding_per_uM_s * b * u)
    flux = np.zeros((n, 3))
    diffusion = (own.cytosol_diffusion_um2_per_s, own.er_diffusion_um2_per_s, own.calbindin_diffusion_um2_per_s)
    for i in range(1, n):
        for k, (d, per) in enumerate(zip(diffusion, (tree.cytosol_um, tree.er_um, tree.cytosol_um), strict=True)):
            j = d * per[i] * (middle[tree.parent[i], k] - middle[i, k])
            flux[i, k] += j
            flux[tree.parent[i], k] -= j
    flux[:, 0] += bound + tree.er_membrane_um2 * er.net + tree.plasma_membrane_um2 * plasma.net
    flux[:, 1] -= tree.er_membrane_um2 * er.net
    flux[:, 2] += bound
    volume = np.column_stack([tree.cytosol_um3, tree.er_um3, tree.cytosol_um3])
    found = volume * (after - before) / dt
    np.testing.assert_allclose(found, flux, atol=1e-7 * np.abs(flux).max(), rtol=0)
    assert np.abs(after - before).max() > 0.1  # it did move


def test_order_of_numbers_of_a_tree_does_not_matter():
    """The same tree with its branches numbered the other way round: equal to rounding."""
    own = Parameters()
    one = branched_cable([-1, 0, 0], [3.0, 2.0, 4.0], [0.5, 0.4, 0.3], [0.25, 0.2, 0.15], 0.25)
    two = branched_cable([-1, 0, 0], [3.0, 4.0, 2.0], [0.5, 0.3, 0.4], [0.25, 0.15, 0.2], 0.25)
    runs = [simulate_cables([c], own, NO_STIMULUS, 0.01, 2e-5, initial_uM=bump(c, own), check_grid=False)
            for c in (one, two)]  # fmt: skip
    trunk, short = 13, 8
    a, b = (run.concentrations_uM[0] for run in runs)
    np.testing.assert_allclose(a[:trunk], b[:trunk], rtol=1e-9)
    np.testing.assert_allclose(a[trunk : trunk + short], b[-short:], rtol=1e-9)


def test_unequal_daughters_are_no_unbranched_cable():
    """The control of the symmetry check: daughters as thick as their parent do slow it down."""
    own = Parameters(plasma_scale=0.0, ryanodine_per_um2=0.0, er_leak_um_per_s=0.0, calbindin_uM=1e-9)
    ends = []
    for parents, radii, er in (([-1, 0], 0.5, 0.25), ([-1, 0, 0], 0.5, 0.25)):
        cable = branched_cable(parents, [5.0] + [6.0] * (len(parents) - 1), radii, er, 0.25)
        run = simulate_cables([cable], own, NO_STIMULUS, 0.05, 2e-5, initial_uM=bump(cable, own, 2.0, 4.0))
        ends.append(run.concentrations_uM[0, 40, 0])
    assert abs(ends[1] / ends[0] - 1) > 0.05


@pytest.mark.parametrize("spacing_um", [0.5, 0.25])
def test_linearisations_hardly_matter(spacing_um):
    """One pass per step is of second order too: less than 0.05 % of the speed between one and two."""
    one, two = (front_speed(spacing_um, 2.5e-5, passes=k) for k in (1, 2))
    assert one == pytest.approx(two, rel=5e-4)


def test_fallback_agrees_at_small_steps():
    """First order: the error of the speed halves with the step, and the limit is that of the other scheme."""
    exact = richardson(front_speed(0.25, 1.25e-5), front_speed(0.25, 6.25e-6))
    errors = [abs(front_speed(0.25, dt, scheme="euler") / exact - 1) for dt in (1.25e-5, 6.25e-6)]
    assert errors[1] < 0.006
    assert 1.8 < errors[0] / errors[1] < 2.2


@pytest.mark.parametrize(("passes", "order"), [(None, 2), (1, 1)])
def test_ip3_receptors_keep_second_order(passes, order):
    """Their open probability is taken from the pass before, so they need the two passes that they get by default."""
    own = Parameters(ip3_receptor_per_um2=17.3, ryanodine_per_um2=0.5)
    cable = uniform_cable(4.0, 0.5, 0.25, 16)
    ends = []
    for dt in (1.25e-5, 6.25e-6, 3.125e-6):
        time_s = (np.arange(round(0.02 / dt)) + 0.5) * dt
        puff = Stimulus(onsets_s=(), ip3_uM=0.04 + 2 * np.sin(np.pi * time_s / 0.04) ** 2)
        run = simulate_cables([cable], own, puff, 0.02, dt, passes=passes, check_grid=False)
        ends.append(run.concentrations_uM)
    coarse, fine = np.abs(ends[0] - ends[1]).max(), np.abs(ends[1] - ends[2]).max()
    assert coarse / fine == pytest.approx(2**order, rel=0.1)
    assert ends[-1][0, :, 0].max() > 2 * own.rest_cytosol_uM  # they do act


class AnyProbability:
    """A channel whose open probability has nothing to do with anything."""

    n_states = 1

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def rest(self, u):
        return np.zeros((1, *u.shape))

    def advance(self, states, u, dt_s):
        return self.rng.choice([0.0, 1.0, self.rng.random()], u.shape)


@pytest.mark.parametrize("dt_s", [1e-6, 1e-4, 1e-2, 1.0])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_fallback_is_never_negative(dt_s, seed):
    """Random cells, random states over many decades, random open probabilities, steps up to a second."""
    rng = np.random.default_rng([seed, 7])
    tree = small_tree(1.0)
    n, count = len(tree), 8
    own = [
        Parameters(
            ryanodine_per_um2=10 ** rng.uniform(-2, 2), plasma_scale=10 ** rng.uniform(-3, 2),
            calbindin_uM=10 ** rng.uniform(-2, 3), ip3_receptor_per_um2=rng.choice([0.0, 17.3]),
        )
        for _ in range(count)
    ]  # fmt: skip
    initial = np.stack([
        np.column_stack([10 ** rng.uniform(-8, 3, n), 10 ** rng.uniform(-6, 4, n), p.calbindin_uM * rng.random(n)])
        for p in own
    ])  # fmt: skip
    stimulus = Stimulus(density_uM_um_per_s=10 ** rng.uniform(0, 7))
    run = simulate_cables(
        [tree] * count, own, stimulus, 30 * dt_s, dt_s, scheme="euler", channel=AnyProbability(seed),
        initial_uM=initial, check_grid=False,
    )  # fmt: skip
    assert np.isfinite(run.concentrations_uM).all()
    assert (run.concentrations_uM >= 0).all()
    total = np.array([p.calbindin_uM for p in own])[:, None]
    assert (run.concentrations_uM[:, :, 2] <= total * (1 + 1e-12)).all()


def test_recovery_case_recovers():
    """The second reference case: dead for a tenth of a second, whole after thirty, at rest in between."""
    curve = recovery_curve((0.1, 1.0, 3.0, 5.0, 10.0, 30.0), dt_s=1e-4)
    assert curve.ratio[0] < 0.2
    assert curve.ratio[-1] > 0.9
    assert (np.diff(curve.ratio) >= 0).all()
    assert 0.2 < curve.ratio[2] < 0.9  # neither all nor nothing
    assert curve.last_off_rest_s < 30.0
    assert abs(curve.er_uM[-1] - 250.0) < 5.0


def test_resting_cable_of_unequal_cells():
    """Rest is rest whatever the geometry."""
    own = Parameters()
    for cable in (small_tree(), uniform_cable(1.0, 2.0, 1.9, 7)):
        run = simulate_cables([cable], own, NO_STIMULUS, 0.1, 1e-4, check_grid=False)
        rest = [own.rest_cytosol_uM, own.rest_er_uM, own.rest_calbindin_uM]
        np.testing.assert_allclose(run.concentrations_uM[0], np.tile(rest, (len(cable), 1)), rtol=1e-10)
