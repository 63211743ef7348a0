"""From a morphology to a cable model: scaling, myelin, segments, membrane; errors of compiling mechanisms."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from understudy.errors import InputError
from understudy.tms import biophysics, mechanisms_build
from understudy.tms.cable_geometry import as_neuron_keeps, segment_geometry, segments_of
from understudy.tms.cell_model import CUT_DIAMETER_UM, build_compartments
from understudy.tms.compartments import CHANNELS, COMPARTMENT_KINDS
from understudy.tms.morphology import APICAL, AXON, BASAL, Morphology, Section, soma_section
from understudy.tms.myelination import g_ratio, internodes
from understudy.tms.neuron_cell import injected_currents


def straight(kind: str, parent: int, start, end, diameter: float) -> Section:
    return Section(kind, parent, np.linspace(start, end, 5), np.full(5, diameter))


def small_cell(name: str = "small") -> Morphology:
    """Soma, basal and branched apical dendrite; an axon with a stem of 100 um, a long branch down and a thin one."""
    return Morphology(
        name,
        (
            soma_section(20.0),
            straight(BASAL, 0, (0, 0, -10), (100, 0, -10), 1.0),
            straight(BASAL, 1, (100, 0, -10), (150, 0, -10), 0.8),
            straight(APICAL, 0, (0, 0, 10), (0, 0, 210), 3.0),
            straight(APICAL, 3, (0, 0, 210), (0, 50, 310), 1.0),
            straight(APICAL, 3, (0, 0, 210), (0, -50, 310), 1.0),
            straight(AXON, 0, (0, 0, -10), (0, 0, -110), 1.0),
            straight(AXON, 6, (0, 0, -110), (0, 0, -610), 0.5),
            straight(AXON, 6, (0, 0, -110), (300, 0, -110), 0.05),
            straight(AXON, 7, (0, 0, -610), (200, 0, -610), 0.5),
            straight(AXON, 7, (0, 0, -610), (0, 0, -900), 0.5),
        ),
    )


def kinds_of(model) -> list[str]:
    return [section.kind for section in model.sections]


def test_compartments_are_in_hines_order() -> None:
    c = build_compartments(small_cell(), "L23_PC").compartments
    assert c.parent[0] == -1 and c.axial[0] == 0
    assert np.all(c.parent[1:] < np.arange(1, len(c))) and np.all(c.axial[1:] > 0)
    assert np.all((c.area == 0) == (c.kind == COMPARTMENT_KINDS.index("junction")))
    # Junctions where the apical dendrite, the stem and the long branch split, nowhere else.
    assert np.sum(c.area == 0) == 3
    assert np.allclose(c.centre[0], 0) and c.path[0] == 0


def test_scaling_to_the_adult_human() -> None:
    rat = build_compartments(small_cell(), "L23_PC", scaled=False)
    human = build_compartments(small_cell(), "L23_PC")
    assert human.compartments.area[0] == pytest.approx(2.453 * rat.compartments.area[0], rel=1e-6)
    basal = {name: model.sections[1:3] for name, model in (("rat", rat), ("human", human))}
    assert basal["human"][0].points[-1, 0] == pytest.approx(1.17 * 100)
    assert basal["human"][1].points[0, 0] == pytest.approx(1.17 * 100)
    assert basal["human"][0].diameters[0] == pytest.approx(1.946)
    # Segments are counted before dendrites grow: 100 um give 5, 117 um would too; 50 um give 3, 58.5 um too.
    assert [s.segments for s in basal["human"]] == [s.segments for s in basal["rat"]] == [5, 3]
    apical = next(s for s in human.sections if s.kind == "apical")
    assert apical.diameters[0] == pytest.approx(3 * 1.876) and apical.points[-1, 2] == pytest.approx(210)


def test_myelin_on_each_branch() -> None:
    model = build_compartments(small_cell(), "L23_PC")
    axon = [
        (s.kind, float(np.linalg.norm(s.points[-1] - s.points[0])))
        for s in model.sections
        if s.kind not in ("soma", "apical", "basal")
    ]
    assert axon[0] == ("axon_initial", pytest.approx(50))
    # 50 um of stem are left: shorter than an internode of 245 um, so as many of at least 20 um as fit.
    assert [kind for kind, _ in axon[1:5]] == ["myelin", "node"] * 2
    assert axon[1][1] == pytest.approx(24, abs=1e-3) and axon[2][1] == pytest.approx(1, abs=1e-3)
    # The branch of 500 um: internodes of 100 x 1.2265 um.
    branch = axon[5:13]
    assert [kind for kind, _ in branch] == ["myelin", "node"] * 4
    assert sum(length for _, length in branch) == pytest.approx(500, abs=1e-3)
    # 0.05 um x 2.453 is below 0.2 um.
    assert ("unmyelinated", pytest.approx(300)) in axon
    # The two ends, of 200 and 290 um, have internodes of 70 x 1.2265 um.
    assert internodes(200, 1.2265, terminal=True) == 2 and internodes(290, 1.2265, terminal=True) == 3
    assert internodes(200, 1.2265, terminal=False) == 1
    assert internodes(20, 1.0, terminal=True) == 0 and internodes(100, 0.19, terminal=False) == 0


def test_myelin_widens_by_the_g_ratio() -> None:
    assert g_ratio(1.0) == pytest.approx(0.6425 - 1.778 + 1.749 + 0.1518)
    assert g_ratio(0.01) == 0.4 and g_ratio(3.0) == 0.8
    model = build_compartments(small_cell(), "L23_PC")
    parts = [s for s in model.sections if s.kind in ("myelin", "node")]
    assert parts[4].diameters[0] == pytest.approx(1.2265 / g_ratio(1.2265), rel=1e-6)
    assert parts[5].diameters[0] == pytest.approx(1.2265, rel=1e-6)


def test_membrane_of_each_kind() -> None:
    c = build_compartments(small_cell(), "L5_TTPC").compartments
    table = biophysics.BIOPHYSICS["L5_TTPC"]

    def of(kind: str, values: np.ndarray) -> np.ndarray:
        return values[c.kind == COMPARTMENT_KINDS.index(kind)]

    sodium = c.density[:, CHANNELS.index("NaTa_t")]
    assert np.all(of("node", sodium) == 2 * table.axon["NaTa_t"])
    assert np.all(of("unmyelinated", sodium) == table.axon["NaTa_t"])
    assert np.all(of("axon_initial", sodium) == table.axon["NaTa_t"])
    assert not of("myelin", c.density).any() and not of("junction", c.density).any()
    assert set(of("myelin", c.capacitance)) == {0.02} and set(of("apical", c.capacitance)) == {2.0}
    ih, path = of("apical", c.density[:, CHANNELS.index("Ih")]), of("apical", c.path)
    assert np.allclose(ih, 8e-5 * (-0.8696 + 2.087 * np.exp(0.0031 * path)))
    assert np.all(of("basal", c.density[:, CHANNELS.index("Ih")]) == 8e-5)
    # SK at rest: z = 1 / (1 + 4.3^4.8) of its density, reversing at -85 mV.
    sk = 0.008407 / (1 + 4.3**4.8)
    assert of("soma", c.leak)[0] == pytest.approx(3e-5 + sk)
    assert of("soma", c.leak_reversal)[0] == pytest.approx((3e-5 * -75 + sk * -85) / (3e-5 + sk))


def test_an_artificial_cut_cannot_fire() -> None:
    cut = build_compartments(small_cell(), "L5_TTPC")
    whole = build_compartments(small_cell(), "L23_PC")
    end = [s for s in cut.sections if s.cut]
    assert len(end) == 1 and end[0].points[-1, 2] == pytest.approx(-900) and np.all(end[0].diameters == CUT_DIAMETER_UM)
    assert len(whole.compartments.terminal) == 3 and len(cut.compartments.terminal) == 2
    assert not [s for s in whole.sections if s.cut]


def test_segments_of_a_cone_add_up() -> None:
    points, diameters = as_neuron_keeps(np.array([[0, 0, 0], [0, 0, 30.0], [0, 40.0, 30]]), np.array([4.0, 2, 1]))
    whole, parts = (segment_geometry(points, diameters, n, 100.0) for n in (1, 7))
    assert parts.area.sum() == pytest.approx(whole.area.sum(), rel=1e-12)
    assert parts.resistance.sum() == pytest.approx(whole.resistance.sum(), rel=1e-12)
    lateral = np.pi / 2 * (6 * np.hypot(30, 1) + 3 * np.hypot(40, 0.5))
    assert whole.area[0] == pytest.approx(lateral, rel=1e-12)
    assert segments_of(39.9, 40) == 1 and segments_of(40, 40) == 3 and segments_of(119, 40) == 5


def test_equivalent_currents_sum_to_zero_and_vanish_for_a_constant() -> None:
    c = build_compartments(small_cell(), "L23_PC").compartments
    uniform = -1e-3 * c.centre[:, 0]
    current = injected_currents(c, np.stack([uniform, np.full(len(c), 3.0)]))
    assert abs(current[0].sum()) < 1e-12 * np.abs(current[0]).sum()
    assert np.abs(current[1]).max() < 1e-12 and not current[:, c.area == 0].any()
    # The potential at a junction changes nothing.
    other = np.where(c.area == 0, 99.0, uniform)
    assert np.allclose(injected_currents(c, other[None])[0], current[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("cell_type", ["L6_TPC", ""])
def test_unknown_cell_type(cell_type: str) -> None:
    with pytest.raises(InputError, match=r"cell type.*L23_PC, L4_LBC, L5_TTPC"):
        build_compartments(small_cell(), cell_type)


def test_a_cell_without_axon_is_refused() -> None:
    bare = Morphology("bare", tuple(s for s in small_cell().sections if s.kind != AXON))
    with pytest.raises(InputError, match=r"bare.*no axon"):
        build_compartments(bare, "L23_PC")


def test_importing_the_model_needs_no_neuron() -> None:
    code = (
        "import sys, understudy.tms.neuron_reference, understudy.tms.mechanisms_build;"
        "sys.exit(any(name.split('.')[0] == 'neuron' for name in sys.modules))"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], check=False, env={"PYTHONPATH": ":".join(sys.path)}).returncode
        == 0
    )


def test_the_compilers_words_reach_the_user(tmp_path) -> None:
    sources = tmp_path / "sources"
    sources.mkdir()
    (sources / "broken.mod").write_text("NEURON { SUFFIX broken }\nBREAKPOINT { current = }\n")
    with pytest.raises(InputError, match=r"(?s)could not compile.*broken\.mod"):
        mechanisms_build.compile_mechanisms(tmp_path / "built", sources)
    assert list((tmp_path / "built").iterdir()) == []


def test_missing_tools_are_named(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"make.*accepted: gcc, g\+\+ and make"):
        mechanisms_build.compile_mechanisms(tmp_path / "built")
    with pytest.raises(InputError, match=r"no \.mod files"):
        mechanisms_build.compile_mechanisms(tmp_path / "built", tmp_path)
