"""Geometry of the axon: bundle, gaps, links, layouts."""

import numpy as np
import pytest
from pydantic import ValidationError

from understudy.axon.axon_geometry import (
    build_geometry,
    hexagonal_bundle,
    layout_set,
    neighbour_pairs,
    outer_microtubules,
    reference_geometry,
    tau_slip_limits,
)
from understudy.axon.config import Injury
from understudy.errors import InputError


@pytest.mark.parametrize(("n", "contacts", "outer"), [(7, 12, 6), (12, 24, 9), (19, 42, 12)])
def test_bundle_is_hexagonal(n, contacts, outer):
    pairs = neighbour_pairs(hexagonal_bundle(n))
    assert len(np.unique(hexagonal_bundle(n), axis=0)) == n
    assert len(pairs) == contacts
    assert len(outer_microtubules(n, pairs)) == outer


def test_bundle_of_another_size_is_refused():
    with pytest.raises(InputError, match="7, 12 and 19"):
        hexagonal_bundle(13)


def test_tau_limits_are_those_of_the_table():
    """45 degrees, 20 nm wall gap, elongation 1: 32.9 and 72.9 nm (axon.md, table 1b)."""
    stretching, reversing = tau_slip_limits(20.0, 45.0, np.array([1.0]))
    assert stretching[0] == pytest.approx(32.9, abs=0.05)
    assert reversing[0] == pytest.approx(72.9, abs=0.05)


@pytest.mark.parametrize("criterion", ["elongation", "bell"])
def test_refining_the_stations_keeps_gaps_and_links(criterion):
    """The same links, gap for gap and limit for limit, whatever the station spacing."""
    coarse, fine = (reference_geometry(Injury(dx_nm=dx, tau_criterion=criterion)) for dx in (100.0, 25.0))
    np.testing.assert_array_equal(coarse.gap_start_nm, fine.gap_start_nm)
    np.testing.assert_array_equal(coarse.links_per_pair.sum(axis=0), fine.links_per_pair.sum(axis=0))
    for name in ("link_upper_nm", "link_lower_nm", "link_threshold"):
        np.testing.assert_array_equal(np.sort(getattr(coarse, name)), np.sort(getattr(fine, name)))
    # Gap length in nm is the same: one element of 100 nm, four of 25 nm, in each microtubule line.
    for geometry in (coarse, fine):
        gaps = (geometry.axial_pN_per_nm[:, :-1] == 0).sum(axis=0) * geometry.dx_nm
        np.testing.assert_array_equal(gaps, 100.0)
    # Series compliance of the axolemma does not depend on the spacing either.
    compliance = [(1 / geometry.axial_pN_per_nm[:, -1]).sum() for geometry in (coarse, fine)]
    assert compliance[0] == pytest.approx(compliance[1], rel=1e-12)


def test_no_link_lies_in_a_gap():
    geometry = reference_geometry(Injury(dx_nm=25.0))
    in_gap = np.zeros((geometry.n_stations, geometry.n_lines), dtype=bool)
    x = geometry.dx_nm * np.arange(geometry.n_stations)
    for line, start in enumerate(geometry.gap_start_nm):
        in_gap[:, line] = (x > start) & (x < start + 100)
    touched = in_gap[:, geometry.pairs[:, 0]] | in_gap[:, geometry.pairs[:, 1]]
    assert geometry.links_per_pair[touched].sum() == 0
    assert geometry.links_per_pair[~touched].min() >= 0
    assert (geometry.coupling_pN_per_nm >= 0).all()


def test_layouts_are_seeded_and_differ():
    injury = Injury(layouts=3)
    first, again, other = layout_set(injury, 7), layout_set(injury, 7), layout_set(injury, 8)
    assert len(first) == 3
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a.gap_start_nm, b.gap_start_nm)
        np.testing.assert_array_equal(a.link_upper_nm, b.link_upper_nm)
    assert not np.array_equal(first[0].gap_start_nm, first[1].gap_start_nm)
    assert not np.array_equal(first[0].gap_start_nm, other[0].gap_start_nm)
    # Layout k does not depend on how many there are.
    np.testing.assert_array_equal(layout_set(Injury(layouts=5), 7)[1].gap_start_nm, first[1].gap_start_nm)


def test_female_axon_is_thinner_with_fewer_microtubules():
    male, female = (reference_geometry(Injury(sex=sex)) for sex in ("male", "female"))
    assert (male.n_lines, female.n_lines) == (20, 13)
    ratio = female.axial_pN_per_nm[0, -1] / male.axial_pN_per_nm[0, -1]
    assert ratio == pytest.approx(370 / 500, rel=1e-12)


def test_node_of_ranvier_is_the_soft_middle():
    injury = Injury()
    axolemma = reference_geometry(injury).axial_pN_per_nm[:, -1]
    soft = np.flatnonzero(axolemma < axolemma.max())
    np.testing.assert_array_equal(soft, np.arange(45, 55))
    assert axolemma[0] / axolemma[50] == pytest.approx(injury.internode_factor)


def test_continuous_microtubules_have_no_gap_but_the_same_links_elsewhere():
    whole = build_geometry(Injury(), continuous=True)
    assert (whole.axial_pN_per_nm > 0).all()
    assert (whole.links_per_pair >= reference_geometry(Injury()).links_per_pair).all()


@pytest.mark.parametrize(
    ("key", "value"), [("dx_nm", 80.0), ("dx_nm", 30.0), ("dt_ms", 0.3), ("gap_nm", 5000.0), ("node_length_um", 10.0)]
)
def test_impossible_lengths_are_refused_by_name(key, value):
    with pytest.raises(ValidationError, match=key):
        Injury(**{key: value})


def test_spacing_that_does_not_divide_the_gap_is_refused():
    with pytest.raises(InputError, match="dx_nm"):
        build_geometry(Injury().model_copy(update={"dx_nm": 80.0}))
