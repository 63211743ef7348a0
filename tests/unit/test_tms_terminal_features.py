"""Features of axon terminals: filters, scaling, agreement with the engine at small amplitude, padding."""

import numpy as np
import pytest

from understudy.errors import InputError
from understudy.tms import terminal_features as features
from understudy.tms.cell_model import build_compartments
from understudy.tms.local_excitation import PRECISION_MV
from understudy.tms.morphology import APICAL, AXON, Morphology, Section, soma_section
from understudy.tms.pulses import standard_pulses
from understudy.tms.threshold_engine import find_thresholds, simulate

DT_MS = 0.005
NAMES = [field.name for field in features.CHANNELS]


def straight(kind, parent, start, end, diameter):
    return Section(kind, parent, np.linspace(start, end, 5), np.full(5, diameter))


@pytest.fixture(scope="module")
def cell():
    """A soma, a dendrite, and an axon that ends in three branches."""
    morphology = Morphology(
        "small",
        (
            soma_section(20.0),
            straight(APICAL, 0, (0, 0, 10), (0, 0, 210), 3.0),
            straight(AXON, 0, (0, 0, -10), (0, 0, -300), 0.5),
            straight(AXON, 2, (0, 0, -300), (400, 0, -300), 0.4),
            straight(AXON, 2, (0, 0, -300), (0, 0, -600), 0.4),
            straight(AXON, 4, (0, 0, -600), (0, 250, -600), 0.3),
            straight(AXON, 4, (0, 0, -600), (-150, 0, -700), 0.06),
        ),
    )
    return build_compartments(morphology, "L4_LBC").compartments


@pytest.fixture(scope="module")
def wave():
    return standard_pulses()["monophasic"].steps(DT_MS, 1.0)


@pytest.fixture(scope="module")
def response(cell, wave):
    return features.terminal_response(cell, wave, DT_MS)


def uniform(cell, directions):
    return -1e-3 * np.asarray(directions, dtype=float) @ cell.centre.T


def test_probes_lie_upstream_at_their_distances(cell):
    probes = features.find_probes(cell)
    distance = cell.path[probes.probe[:, :1]] - cell.path[probes.probe]
    assert np.array_equal(probes.probe[:, 0], cell.terminal)
    # Compartments are at most 40 um long, and myelin begins at a node.
    np.testing.assert_allclose(distance[:, 1:], np.broadcast_to(features.UPSTREAM_UM, distance[:, 1:].shape), atol=25)
    found = dict(zip(NAMES[-8:], probes.descriptors.T, strict=False))
    assert (np.diff(np.sort(found["path"])) > 0).all()
    branch = sorted(np.exp(found["log_branch_length"]))
    # Lengths of the last branches, less half of the last compartment.
    assert branch == pytest.approx(sorted([400.0, 250.0, np.hypot(150, 100)]), abs=21)


def test_polarisation_is_that_of_the_engine_at_small_amplitude(cell, wave, response):
    potential = uniform(cell, [[1, 0.2, 0], [0, -1, 0.5]])
    found = features.terminal_inputs(response, potential)
    traces = simulate(cell, potential, wave, np.full(2, 0.01), DT_MS, recorded=cell.terminal)
    rest = simulate(cell, potential, wave, np.zeros(2), DT_MS, recorded=cell.terminal)
    peaks = ((traces - rest) / 0.01).max(axis=1)
    # Sampled at 10 to 20 us, so a sharp peak can be missed by a little; at 0.01 V/m the gates are linear.
    np.testing.assert_allclose(found[:, 0, 0], peaks.max(axis=1), rtol=0.02)


def test_only_the_polarisation_depends_on_the_amplitude(cell, response):
    potential = uniform(cell, np.random.default_rng(1).normal(size=(6, 3)))
    once, thrice = features.terminal_inputs(response, potential), features.terminal_inputs(response, 3 * potential)
    np.testing.assert_allclose(thrice[:, 0], 3 * once[:, 0], rtol=1e-5)
    np.testing.assert_allclose(thrice[:, 1], once[:, 1], atol=2 * PRECISION_MV)
    np.testing.assert_allclose(thrice[:, 2:], once[:, 2:], rtol=1e-4, atol=1e-5)
    assert once.shape == (6, len(NAMES), features.TERMINALS) and once.dtype == np.float32
    assert not once[:, :, len(cell.terminal) :].any(), "no terminal, no numbers"
    assert (np.diff(once[:, 0], axis=1) <= 0).all(), "strongest first"


def test_cases_do_not_depend_on_their_neighbours(cell, response):
    potential = uniform(cell, np.random.default_rng(2).normal(size=(300, 3)))
    together = features.terminal_inputs(response, potential)
    np.testing.assert_allclose(
        features.terminal_inputs(response, potential[290:293]), together[290:293], rtol=1e-3, atol=1e-5
    )


def test_upstream_polarisation_is_that_of_the_engine_near_the_peak(cell, wave, response):
    potential = uniform(cell, [[1, 0.2, 0], [0, -1, 0.5]])
    found = features.terminal_inputs(response, potential)
    probes = features.find_probes(cell).probe
    traces = simulate(cell, potential, wave, np.full(2, 0.01), DT_MS, recorded=probes.ravel())
    traces -= simulate(cell, potential, wave, np.zeros(2), DT_MS, recorded=probes.ravel())
    traces = traces.reshape(2, len(wave), *probes.shape)
    for n in range(2):
        strongest = traces[n, :, :, 0].max(axis=0).argmax()
        peak = traces[n, :, strongest, 0].argmax()
        ratio = traces[n, :, strongest, 1:] / traces[n, peak, strongest, 0]
        # Known at a few times only: anywhere within 20 us of the peak.
        near = ratio[max(0, peak - 4) : peak + 5]
        upstream = found[n, 2 : 2 + len(features.UPSTREAM_UM), 0]
        assert (upstream >= near.min(axis=0) - 0.02).all() and (upstream <= near.max(axis=0) + 0.02).all()


def test_the_lone_terminal_expects_thresholds_about_right(cell, wave, response):
    potential = uniform(cell, [[1, 0.2, 0], [0, -1, 0.5]])
    expected = features.lone_terminal_threshold(features.terminal_inputs(response, potential), 5000.0)
    found = find_thresholds(cell, potential, wave, DT_MS).threshold
    np.testing.assert_allclose(expected, found, rtol=0.1)
    nothing = np.zeros((1, len(NAMES), features.TERMINALS), dtype=np.float32)
    assert features.lone_terminal_threshold(nothing, 5000.0).tolist() == [5000.0]


def test_context_is_the_type_alone():
    assert features.context_of("L4_LBC").tolist() == [0, 1, 0] and len(features.CONTEXT) == 3
    with pytest.raises(InputError, match="cell type: found 'L6'"):
        features.context_of("L6")


def test_a_waveform_that_ends_too_early_is_refused(cell):
    with pytest.raises(InputError, match="waveform: found 20 steps"):
        features.terminal_response(cell, np.ones(20), DT_MS)
