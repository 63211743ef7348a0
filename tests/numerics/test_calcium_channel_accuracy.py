"""Learned channels at the study's scale: observed ones against the truth, knobs over three seeds, inverse design."""

import pytest

from understudy.calcium.designed_channel import Knobs
from understudy.calcium.designed_fit import fit_designed
from understudy.calcium.designed_waves import design_wave, exact_channels, network_channels
from understudy.calcium.knob_study import knob_maps
from understudy.calcium.observations import FLUORESCENCE, Observing
from understudy.calcium.observed_fit import study_observations


@pytest.fixture(scope="module")
def networks():
    return [network_channels(fit_designed(seed).network) for seed in range(3)]


@pytest.mark.slow
@pytest.mark.parametrize("observing", [Observing(), Observing(FLUORESCENCE, 0.01)], ids=["probability", "fluorescence"])
def test_observed_ryanodine_receptor(observing):
    """In gaps at most half of smoothing's error, on new protocols a fifth of a table's."""
    errors = study_observations("ryanodine_receptor", observing).errors
    assert errors.network[1] < 0.5 * errors.smoothing[1]
    assert errors.network_new < 0.2 * errors.table_new
    assert errors.r2_new > 0.98


@pytest.mark.slow
def test_knobs_steer_waves(networks):
    for found in knob_maps(networks, exact_channels):
        assert found.passed, (found.sweep.knob, found.spearman, found.span, found.spread_over_half_step)


@pytest.mark.slow
def test_inverse_design_with_a_network(networks):
    """Within the goal of 2 % of a wanted amplitude and duration."""
    found = design_wave(networks[0], 6.0, 0.012)
    assert max(abs(error) for error in found.errors) < 0.02
    assert isinstance(found.knobs, Knobs)
