"""The comparison of a hybrid with the equations: it sees no difference where there is none, and one where there is."""

import numpy as np

from understudy.calcium.gated_channel import one_state_closure, two_state_closure
from understudy.calcium.hybrid_evaluation import (
    draw_heldout_cases,
    front_errors,
    heldout_errors,
    sampled_front,
    simulate_heldout,
    step_costs,
    step_errors,
    threshold_errors,
)
from understudy.calcium.reference_cases import front_parameters


def errors_of(closure, **options):
    """Errors of a closure on the reference front, of the equations themselves if None."""
    channel = None if closure is None else closure(front_parameters())
    return front_errors(sampled_front(None, **options), sampled_front(channel, **options), 0.25)


def test_the_equations_have_no_error_against_themselves():
    errors = errors_of(None, dt_s=5e-5, duration_s=0.1)
    assert (errors.speed, errors.arrival_ms, errors.peak, errors.nrmse_u, errors.nrmse_open) == (0, 0, 0, 0, 0)
    assert errors.r2_open == 1.0
    steps = step_errors(lambda parameters: None, (1e-4, 5e-5))
    np.testing.assert_array_equal(steps["error"], 0.0)
    assert steps["change"][0] < -0.02


def test_closures_on_the_reference_front_are_those_of_the_model_card():
    """One state: speed +0.06 %, R2 of the open probability 0.934 (there to three digits, with other sampling)."""
    one = errors_of(one_state_closure)
    assert abs(one.speed - 0.0006) < 2e-4
    assert abs(one.r2_open - 0.934) < 0.01
    two = errors_of(two_state_closure, dt_s=5e-5)
    assert two.r2_open > 0.9995 and abs(two.speed) < 0.001


def test_raised_rest_is_where_one_state_fails():
    cases = draw_heldout_cases(5, plain=3, conditioned=5)
    rest = [case.parameters.rest_cytosol_uM for case in cases]
    assert len(cases) == 8 and max(rest[:3]) < min(rest[3:])
    options = {"dt_s": 5e-5, "duration_s": 0.12}
    runs = [simulate_heldout(cases, make, **options) for make in (None, one_state_closure, two_state_closure)]
    reference, *found = ((speed, run.traces[..., 0]) for speed, run in runs)
    (one, _), (two, traces) = (heldout_errors(*reference, *own) for own in found)
    assert (np.abs(one[:3]) < 0.01).all()
    assert np.median(np.abs(one[3:])) > 0.03
    assert (np.abs(two) < 0.01).all() and traces.max() < 0.03


def test_thresholds_agree_for_the_two_states():
    makes = {"two states": two_state_closure}
    errors = threshold_errors(makes, count=8, cells=100, dt_s=2e-4, accuracy_um=2e-3)["two states"]
    assert 0.15 < errors.expected_um < 0.3
    assert errors.agreement >= 7 / 8
    assert abs(errors.found_um - errors.expected_um) < 0.004


def test_costs_are_ratios_to_the_equations():
    costs = step_costs({"two states": two_state_closure}, cables=8, cells=32, steps=10, rounds=2)
    np.testing.assert_array_equal(costs["equations"], 1.0)
    assert (costs["two states"] > 0).all() and len(costs["two states"]) == 2
