"""Balances, closed forms and refusals of the calcium model's parameters."""

from dataclasses import fields, replace

import numpy as np
import pytest

from understudy.calcium.membranes import membrane_fluxes
from understudy.calcium.parameters import (
    MOL_PER_UM2,
    SOURCES,
    Parameters,
    channel_flux_mol_per_s,
    goldman_factors,
    ip3_open_probability,
    resting_gate,
    stationary_ryanodine,
)
from understudy.calcium.stimulus import Stimulus, open_fraction
from understudy.errors import InputError


def test_every_parameter_has_a_source():
    assert set(SOURCES) == {field.name for field in fields(Parameters)}
    assert {known for known, _ in SOURCES.values()} <= {"found", "recalled", "estimate"}


@pytest.mark.parametrize(
    ("changes", "density"),
    [({"ryanodine_per_um2": 0.86}, 1851), ({}, 2274.95), ({"ip3_receptor_per_um2": 17.3}, 2390.05)],
)
def test_pump_density_balances_rest(changes, density):
    """Values of an independent evaluation, to the digits known; 2390 per um2 is also the published default."""
    assert Parameters(**changes).serca_per_um2 == pytest.approx(density, rel=1e-4)


def test_published_fluxes():
    """Single-channel fluxes at rest as the published script holds them; a receptor's gate to its four digits."""
    own = Parameters()
    gradient = (own.rest_er_uM - own.rest_cytosol_uM) / own.reference_gradient_uM
    per_channel = channel_flux_mol_per_s(own.ryanodine_conductance_S) * gradient * own.rest_open_probability
    assert per_channel == pytest.approx(1.1201015633466695e-21, rel=1e-4)
    ip3 = channel_flux_mol_per_s(own.ip3_receptor_conductance_S) * gradient * ip3_open_probability(0.05, 0.04)
    assert ip3 == pytest.approx(3.7606194166520605e-23, rel=1e-4)
    _, plasma = membrane_fluxes(own, own.rest_cytosol_uM, own.rest_er_uM, 0.0)
    assert plasma.pmca / (own.pmca_per_um2 * MOL_PER_UM2) == pytest.approx(6.9672131147540994e-24, rel=1e-12)
    assert plasma.ncx / (own.ncx_per_um2 * MOL_PER_UM2) == pytest.approx(6.7567567567567566e-23, rel=1e-12)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"ryanodine_per_um2": 0.0625},
        {"plasma_scale": 3.0},
        {"ip3_receptor_per_um2": 17.3},
        {"calcium_channel_per_um2": 1.0},
        {"rest_cytosol_uM": 0.1, "rest_er_uM": 400.0},
    ],
)
def test_rest_is_a_steady_state(changes):
    own = Parameters(**changes)
    er, plasma = membrane_fluxes(
        own, own.rest_cytosol_uM, own.rest_er_uM, own.rest_open_probability,
        voltage_mV=own.rest_voltage_mV, open_fraction=resting_gate(own.rest_voltage_mV),
    )  # fmt: skip
    assert abs(er.net) < 1e-13 * er.serca
    assert abs(plasma.net) < 1e-13 * plasma.pmca
    bound = own.unbinding_per_s * (own.calbindin_uM - own.rest_calbindin_uM)
    assert own.binding_per_uM_s * own.rest_cytosol_uM * own.rest_calbindin_uM == pytest.approx(bound, rel=1e-13)


def test_receptors_balance_in_detail():
    own = Parameters()
    u = np.array([0.05, 0.5, 5.0])
    o1, o2, c1, c2 = stationary_ryanodine(own, u)
    np.testing.assert_allclose(o1 + o2 + c1 + c2, 1.0, rtol=1e-14)
    np.testing.assert_allclose(own.closing_per_s * o1, own.opening_per_uM4_s * u**4 * c1, rtol=1e-13)
    np.testing.assert_allclose(own.second_closing_per_s * o2, own.second_opening_per_uM3_s * u**3 * o1, rtol=1e-13)
    np.testing.assert_allclose(own.recovery_per_s * c2, own.inactivation_per_s * o1, rtol=1e-13)


def test_goldman_factors():
    """Equal at 0 mV and continuous there; no flux at the reversal potential; steeper when hyperpolarised."""
    assert goldman_factors(0.0) == (1.0, 1.0)
    np.testing.assert_allclose(goldman_factors(1e-5), goldman_factors(2e-5), rtol=1e-6)
    into, out = goldman_factors(-65.0)
    assert into > 4.0 > 1.0 > out > 0.0


def test_calcium_channel_opens_and_inactivates():
    """Constant voltage gives rest; a step opens within milliseconds and inactivates over a tenth of a second."""
    dt = 1e-4
    at_rest = open_fraction(np.full(10, -65.0), dt, -65.0)
    np.testing.assert_allclose(at_rest, resting_gate(-65.0), rtol=1e-12)
    stepped = open_fraction(np.full(9000, 0.0), dt, -65.0)
    top = int(np.argmax(stepped))
    assert 3e-3 < top * dt < 20e-3
    assert stepped[top] > 0.5
    assert stepped[-1] == pytest.approx(resting_gate(0.0), rel=0.02)


def test_stimulus_loses_nothing():
    """A pulse between steps brings its triangle's area, whatever the step (float64 sums)."""
    pulse = Stimulus(onsets_s=(1.23e-4, 7.7e-3))
    for dt in (3e-5, 1e-4, 5e-3):
        steps = int(0.02 / dt)
        total = (pulse.mean_influx(0, steps, dt) * dt).sum()
        assert total == pytest.approx(2 * 0.5 * 2500.0 * 1e-3, rel=1e-12)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"rest_cytosol_uM": -0.05}, "rest_cytosol_uM"),
        ({"ryanodine_per_um2": -1.0}, "ryanodine_per_um2"),
        ({"cytosol_diffusion_um2_per_s": float("nan")}, "cytosol_diffusion_um2_per_s"),
        ({"closing_per_s": 0.0}, "closing_per_s"),
        ({"rest_er_uM": 0.01}, "rest_er_uM"),
        ({"rest_cytosol_uM": 200.0, "outside_uM": 100.0}, "outside_uM"),
        ({"calcium_channel_per_um2": 1e6}, "calcium_channel_per_um2"),
    ],
)
def test_inconsistent_parameters_are_refused(changes, named):
    with pytest.raises(InputError, match=rf"{named}.*found.*accepted"):
        replace(Parameters(), **changes)


@pytest.mark.parametrize("changes", [{"density_uM_um_per_s": -1.0}, {"duration_s": 0.0}, {"onsets_s": (-1.0,)}])
def test_bad_stimulus_is_refused(changes):
    with pytest.raises(InputError, match=rf"{next(iter(changes))}: found.*accepted"):
        Stimulus(**changes)
