"""The cable model against NEURON: geometry to rounding, couplings of a field, calcium, crossings."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from understudy.provenance.fingerprint import REPOSITORY
from understudy.tms import neuron_reference
from understudy.tms.cell_model import CableModel, build_compartments
from understudy.tms.mechanisms_build import compile_mechanisms
from understudy.tms.morphology import APICAL, AXON, BASAL, Morphology, Section, soma_section
from understudy.tms.neuron_cell import COUPLINGS, NeuronCell

pytest.importorskip("neuron")

REAL_CELLS = REPOSITORY / "data" / "morphologies"
DT_MS = 0.005
# A rectangle of 60 us after one silent step, in a window of 0.8 ms.
WAVEFORM = np.array([0.0] + 12 * [1.0] + 147 * [0.0])


def wiggly(kind: str, parent: int, start, end, first: float, last: float, seed: int) -> Section:
    """A tapering path that is not straight, so that frusta are cut anywhere."""
    points = np.linspace(start, end, 12)
    points[1:-1] += np.random.default_rng(seed).normal(scale=1.5, size=(10, 3))
    return Section(kind, parent, points, np.linspace(first, last, 12))


def wiggly_cell() -> Morphology:
    return Morphology(
        "wiggly",
        (
            soma_section(45.0),  # long enough for three segments
            wiggly(BASAL, 0, (20, 0, 0), (150, 30, -40), 2.0, 0.5, 1),
            wiggly(APICAL, 0, (0, 0, 22), (10, 0, 300), 4.0, 1.5, 2),
            wiggly(APICAL, 2, (10, 0, 300), (80, 0, 420), 1.5, 0.6, 3),
            wiggly(APICAL, 2, (10, 0, 300), (-60, 20, 430), 1.2, 0.5, 4),
            wiggly(AXON, 0, (0, 0, -22), (0, 10, -120), 1.5, 0.8, 5),
            wiggly(AXON, 5, (0, 10, -120), (0, 0, -700), 0.6, 0.4, 6),
            wiggly(AXON, 5, (0, 10, -120), (400, 0, -200), 0.4, 0.3, 7),
            wiggly(AXON, 7, (400, 0, -200), (500, 100, -100), 0.05, 0.05, 8),
            wiggly(AXON, 7, (400, 0, -200), (600, -100, -300), 0.3, 0.3, 9),
        ),
    )


@pytest.fixture(scope="module")
def model() -> CableModel:
    return build_compartments(wiggly_cell(), "L5_TTPC")


@pytest.fixture(scope="session")
def mechanisms(request: pytest.FixtureRequest) -> None:
    """Compiled once (half a minute) and kept in pytest's cache under the hash of the sources."""
    neuron_reference.load_mechanisms(compile_mechanisms(request.config.cache.mkdir("mechanisms")))


def uniform_potential(model: CableModel, direction) -> np.ndarray:
    return -1e-3 * model.compartments.centre @ np.asarray(direction, dtype=float)


def assert_neurons_geometry(model: CableModel) -> None:
    """Areas, diameters and axial resistances to 1e-9 relative, paths to 1e-9 um."""
    from neuron import h

    c = model.compartments
    sections = []
    for section in model.sections:
        made = h.Section(name=f"geometry_{len(sections)}")
        for point, diameter in zip(section.points.tolist(), section.diameters.tolist(), strict=True):
            made.pt3dadd(*point, diameter)
        made.nseg, made.Ra = section.segments, 100
        if section.parent >= 0:
            made.connect(sections[section.parent](section.parent_end), 0)
        sections.append(made)
    children = Counter(section.parent for section in model.sections)
    segment = [sections[number](position) for number, position in zip(c.section, c.position, strict=True)]
    membrane = np.flatnonzero(c.area > 0)
    assert np.allclose([segment[i].area() for i in membrane], c.area[membrane], rtol=1e-9, atol=0)
    assert np.allclose([segment[i].diam for i in membrane], c.diameter[membrane], rtol=1e-9, atol=0)
    outside_soma = np.flatnonzero(c.section > 0)
    resistance = []
    for i in outside_soma:
        section = model.sections[c.section[i]]
        first = c.position[i] < 1 / section.segments
        # An end with one child is a node of its own in NEURON: its two resistances are in series.
        joined = first and section.parent > 0 and children[section.parent] == 1
        resistance.append(segment[i].ri() + (sections[section.parent](1).ri() if joined else 0.0))
    assert np.allclose(1 / np.array(resistance), c.axial[outside_soma], rtol=1e-9, atol=0)
    h.distance(0, sections[0](0.5))
    assert np.allclose([h.distance(segment[i]) for i in range(len(c))], c.path, rtol=0, atol=1e-9)
    for section in sections:
        h.delete_section(sec=section)


@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("cell_type", ["L23_PC", "L5_TTPC"])
def test_geometry_is_neurons(cell_type: str, scaled: bool) -> None:
    assert_neurons_geometry(build_compartments(wiggly_cell(), cell_type, scaled=scaled))


@pytest.mark.parametrize(
    ("file", "cell_type"),
    [("C060114A5.asc", "L5_TTPC"), ("C010398B-P2.CNG.swc", "L23_PC"), ("bio_neuron-000.asc", "L4_LBC")],
)
def test_geometry_of_reconstructed_cells_is_neurons(file: str, cell_type: str) -> None:
    from understudy.tms.morphology_files import read_morphology

    if not (REAL_CELLS / file).is_file():
        pytest.skip(f"{REAL_CELLS / file} is absent")
    assert_neurons_geometry(build_compartments(read_morphology(REAL_CELLS / file), cell_type))


def test_soma_of_three_segments_has_its_root_in_the_middle(model: CableModel) -> None:
    c = model.compartments
    assert model.sections[0].segments == 3 and list(c.position[:3]) == [0.5, 5 / 6, 1 / 6]
    assert list(c.parent[:3]) == [-1, 0, 0]


@pytest.mark.usefixtures("mechanisms")
def test_extracellular_and_injected_currents_agree(model: CableModel) -> None:
    """Potentials within 1e-3 mV (extracellular shunts with 1e9 S/cm2, not infinity), thresholds within 0.05 %."""
    potential = uniform_potential(model, (0.6, 0, -0.8))
    traces = [neuron_reference.simulate(model, potential, WAVEFORM, 150.0, DT_MS, coupling=way) for way in COUPLINGS]
    here = model.compartments.area > 0
    assert np.nanmax(np.abs(traces[0])) > 50 and np.isnan(traces[0][:, ~here]).all()
    for trace in traces[1:]:
        assert np.abs(trace[:, here] - traces[0][:, here]).max() < 1e-3
    found = [
        neuron_reference.find_thresholds(model, potential[None], WAVEFORM, DT_MS, coupling=way, tolerance=1e-5)
        for way in COUPLINGS
    ]
    assert all(result.found[0] and result.site[0] == found[0].site[0] for result in found)
    assert np.allclose([r.threshold[0] for r in found], found[0].threshold[0], rtol=5e-4)


@pytest.mark.usefixtures("mechanisms")
def test_search_brackets_the_threshold(model: CableModel) -> None:
    """The threshold is the same from any guess; unreachable ones are not found."""
    potential = uniform_potential(model, (0, 0, 1))[None]
    plain = neuron_reference.find_thresholds(model, potential, WAVEFORM, DT_MS)
    for guess in (0.3 * plain.threshold, plain.threshold, 4 * plain.threshold):
        guessed = neuron_reference.find_thresholds(model, potential, WAVEFORM, DT_MS, guess=guess, whole_window=True)
        assert guessed.threshold[0] == pytest.approx(plain.threshold[0], rel=2e-4)
        assert guessed.site[0] == plain.site[0]
    missed = neuron_reference.find_thresholds(model, potential, WAVEFORM, DT_MS, limit=0.5 * plain.threshold[0])
    assert not missed.found[0] and np.isnan(missed.threshold[0]) and missed.site[0] == -1


@pytest.mark.usefixtures("mechanisms")
def test_crossings_are_those_of_the_traces(model: CableModel) -> None:
    potential = uniform_potential(model, (0, 0, -1))
    with NeuronCell(model) as cell:
        cell.set_potential(potential)
        trace = np.empty((WAVEFORM.size, cell.active.size))
        run = cell.run(600.0, WAVEFORM, DT_MS, trace=trace)
        again = cell.run(600.0, WAVEFORM, DT_MS)
        rest = cell.resting_mV
    up = (np.vstack([rest, trace])[:-1] < 0) & (trace >= 0)
    step, place = np.argwhere(up)[0]
    assert run.crossings == up.sum() > 3
    assert run.site == cell.active[place] and run.time_ms == pytest.approx((step + 1) * DT_MS)
    assert again == run


@pytest.mark.usefixtures("mechanisms")
def test_rest_is_at_rest_and_calcium_hardly_matters() -> None:
    """A run without a field does not move; calcium and SK shift rest by < 0.1 mV and thresholds by < 0.1 %.

    SK's conductance at the resting concentration is in the leak; without that a cell as small as this one would rest
    millivolts higher.
    """
    model = build_compartments(wiggly_cell(), "L23_PC")
    still = neuron_reference.simulate(model, np.zeros(len(model.compartments)), np.zeros(200), 1.0, 0.025)
    rest = neuron_reference.steady_state(model)
    assert np.nanmax(np.abs(still - rest)) < 1e-6
    assert np.nanmax(np.abs(neuron_reference.steady_state(model, calcium=True) - rest)) < 0.1
    potential = uniform_potential(model, (0, 0, 1))[None]
    plain, calcium = (
        neuron_reference.find_thresholds(model, potential, WAVEFORM, DT_MS, tolerance=1e-5, calcium=on).threshold[0]
        for on in (False, True)
    )
    assert calcium == pytest.approx(plain, rel=1e-3)
