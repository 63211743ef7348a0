"""Courses of calcium, the receptors' answer, and the training of rate networks on them, at a size of seconds."""

import numpy as np
import pytest
import torch
from scipy.linalg import expm

from understudy.calcium.gated_channel import network_channel
from understudy.calcium.least_squares import levenberg_marquardt
from understudy.calcium.parameters import Parameters, stationary_ryanodine
from understudy.calcium.rate_network import RateNetwork
from understudy.calcium.rate_training import (
    Schedule,
    course_errors,
    lessons_of,
    receptor_form,
    rest_residuals,
    train_rates,
    training_domain,
)
from understudy.calcium.receptor_protocols import (
    clamp_courses,
    draw_wave_cases,
    joined,
    merged_steps,
    moving_courses,
    receptor_answer,
    stationary_start,
    wave_courses,
)
from understudy.calcium.reference_cases import front_cable, front_run
from understudy.calcium.surrogate import SURROGATE, rate_cases, rate_network_of
from understudy.calcium.waves import wave_speed
from understudy.errors import InputError
from understudy.surrogate.transforms import fit_targets

PARAMETERS = Parameters()


@pytest.fixture(scope="module")
def courses():
    rng = np.random.default_rng(3)
    return joined([
        clamp_courses(PARAMETERS, 45, rng),
        moving_courses(PARAMETERS, 20, rng),
        wave_courses(draw_wave_cases(8, rng), 0.2, length_um=16.0, sites_um=(1.0, 10.0)),
    ])  # fmt: skip


def test_the_answer_is_the_exponential_of_the_generator(courses):
    k = PARAMETERS
    answer = receptor_answer(courses, k)
    np.testing.assert_allclose(answer.sum(-1), 1.0, atol=1e-12)
    for course in (0, 2, 50, 70):
        x = courses.start[course]
        for step in range(25):
            u, dt = courses.u_uM[course, step], courses.dt_s[course, step]
            opening, second = k.opening_per_uM4_s * u**4, k.second_opening_per_uM3_s * u**3
            leaving = second + k.closing_per_s + k.inactivation_per_s
            generator = np.array([
                [-leaving, k.second_closing_per_s, opening, k.recovery_per_s],
                [second, -k.second_closing_per_s, 0, 0],
                [k.closing_per_s, 0, -opening, 0],
                [k.inactivation_per_s, 0, 0, -k.recovery_per_s],
            ])  # fmt: skip
            x = expm(generator * dt) @ x
            np.testing.assert_allclose(answer[course, step + 1], x, atol=1e-8)


def test_joined_steps_keep_time_and_calcium():
    rng = np.random.default_rng(0)
    u = np.exp(np.cumsum(rng.normal(0, 0.01, 4000)))
    dt, mean = merged_steps(u, 5e-5, longest_s=2e-3)
    assert dt.sum() == pytest.approx(4000 * 5e-5, rel=1e-12)
    assert (dt * mean).sum() == pytest.approx(u.sum() * 5e-5, rel=1e-12)
    assert len(dt) < 1000 and dt.max() <= 2e-3 * (1 + 1e-9)


def test_courses_of_one_protocol_or_cable_are_one_group(courses):
    waves = np.isin(courses.family, ["wave", "near the stimulus"])
    assert len(np.unique(courses.group[waves])) == 8 and waves.sum() == 16
    assert not set(courses.group[waves]) & set(courses.group[~waves])
    again = clamp_courses(PARAMETERS, 45, np.random.default_rng(3))
    np.testing.assert_array_equal(again.u_uM, courses.u_uM[:45, :120])


def test_a_chain_learns_to_carry_a_wave(courses):
    """Seconds of training give the speed to a per cent; the published networks are trained for minutes."""
    form = receptor_form(5)
    schedule = Schedule(
        samples=6000, rate_iterations=150, windows=96, steps=16, course_iterations=20, polish_iterations=3
    )
    network = train_rates(courses, form, seed=0, schedule=schedule)
    assert course_errors(network, courses, PARAMETERS)["wave"] < 0.03
    cable = front_cable(0.25)
    speeds = [
        wave_speed(cable.position_um, front_run(0.25, 5e-5, channel=channel).arrival_s, 64.0)[0]
        for channel in (None, network_channel(network))
    ]
    assert speeds[1] == pytest.approx(speeds[0], rel=0.03)


def test_levenberg_marquardt_finds_a_network_again():
    """Residuals that can all vanish do so to rounding within some steps, which no method of first order does."""
    form = receptor_form(6)
    generator = torch.Generator().manual_seed(0)
    features = 2 * torch.rand((300, form.n_inputs), generator=generator, dtype=torch.float64) - 1
    wanted, network = RateNetwork(form, 1), RateNetwork(form, 1)
    with torch.no_grad():
        truth = wanted.log_rates(features)
        for weights in network.parameters():
            weights += 0.05 * torch.randn(weights.shape, generator=generator, dtype=torch.float64)

    def part(rows: slice):
        return lambda own: (own.log_rates(features[rows]) - truth[rows]).reshape(-1)

    blocks = [part(slice(0, 200)), part(slice(200, 300))]
    before = sum(float(block(network).square().sum().detach()) for block in blocks)
    assert levenberg_marquardt(network, blocks, 0) == pytest.approx(before, rel=1e-12)
    found = levenberg_marquardt(network, blocks, 40)
    after = sum(float(block(network).square().sum().detach()) for block in blocks)
    assert found == pytest.approx(after, rel=1e-6, abs=1e-20) and found < 1e-6 * before


def test_residuals_at_rest_are_those_of_the_stationary_gates():
    network = RateNetwork(receptor_form(5), 3)
    u = np.geomspace(0.03, 1.0, 60)
    o1, o2, _, q = stationary_ryanodine(PARAMETERS, u)
    with torch.no_grad():
        p_own, q_own = network.rest(torch.from_numpy(u)[:, None]).numpy().T
        found = rest_residuals(network, PARAMETERS).numpy() * 60**0.5
    p = o1 + o2
    expected = [np.log(p_own / (1 - p_own - q_own) * (1 - p - q) / p), np.log(q_own / p_own * p / q)]
    np.testing.assert_allclose(found, np.concatenate(expected), rtol=1e-9)


def test_the_same_seed_trains_the_same_network_and_another_form_is_no_start(courses):
    short = Schedule(samples=500, rate_iterations=10, windows=16, steps=8, course_iterations=2, polish_iterations=1)
    first, again = (train_rates(courses, receptor_form(6), seed=4, schedule=short) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    with pytest.raises(InputError, match="start: found a network"):
        train_rates(courses, receptor_form(5), seed=4, schedule=short, start=again)


def test_monitor_flags_a_network_of_waves_alone(courses):
    """The model card's negative control: slopes of waves are fitted almost perfectly, the cable then leaves them."""
    waves = courses.take(np.flatnonzero(courses.family == "wave"))
    form = receptor_form(4)
    schedule = Schedule(samples=6000, rate_iterations=200, course_iterations=0, polish_iterations=0)
    network = train_rates(waves, form, seed=0, schedule=schedule)
    cable = front_cable(0.25)
    expected = wave_speed(cable.position_um, front_run(0.25, 1e-4).arrival_s, 64.0)[0]
    found = {}
    for name, seen in (("waves alone", waves), ("all", courses)):
        channel = network_channel(network, domain=training_domain(network, seen, PARAMETERS), watch_every=1)
        run = front_run(0.25, 1e-4, channel=channel)
        found[name] = channel.excursion
    speed = wave_speed(cable.position_um, run.arrival_s, 64.0)[0]
    assert abs(speed / expected - 1) > 0.03
    assert found["waves alone"].outside > 0
    assert found["waves alone"].first_step is not None
    assert found["all"].outside < 0.2 * found["waves alone"].outside


def test_the_shared_machine_trains_the_same_network(courses):
    cases = rate_cases(courses, PARAMETERS, np.random.default_rng(1).random((len(courses), 10)))
    settings = {"unknowns": 6, "hidden": [8, 8]}
    context = np.zeros((len(cases["inputs"]), 0))
    state = SURROGATE.fit_inputs(cases["inputs"], context)
    scaled, context = SURROGATE.apply_inputs(state, cases["inputs"], context)
    transform = fit_targets(SURROGATE.target_links(SURROGATE.target_groups["rates"]), cases["targets"])
    module = SURROGATE.build_network(2, (1,), 0, 4, settings)
    with torch.no_grad():
        standard = module(torch.from_numpy(scaled), torch.from_numpy(context)).numpy().astype(float)
        weights = {name: value.numpy() for name, value in module.state_dict().items()}
        network = rate_network_of(weights, transform, settings)
        u = torch.from_numpy(cases["inputs"][:, :, 0])
        found = network.log_rates(network.features(u[:, :1], u[:, 1], torch.zeros((len(u), 2)))).numpy()
    np.testing.assert_allclose(found, np.clip(transform.inverse(standard), -20, 25), atol=1e-4)
    lessons = lessons_of(courses, receptor_form(6), PARAMETERS)
    assert lessons.states.shape[-1] == 3
    assert stationary_start(PARAMETERS, np.array([0.05])).shape == (1, 4)
