"""Sensitivity to the mechanics: what is varied, what a difference is, and a repeated impact on a tiny mesh."""

from __future__ import annotations

import numpy as np
import pytest

from understudy.axon.config import Head, Tissue
from understudy.axon.fibre_orientation import FibreField
from understudy.axon.impacts import Impact, pulse
from understudy.axon.mechanics_sensitivity import (
    history_difference,
    mechanics_variants,
    peak_summary,
    strain_histories,
    with_variant,
)
from understudy.axon.white_matter import white_matter_voxels

# Coarser than the configuration accepts: a second for all.
HEAD = Head().model_copy(update={"element_mm": 14.0})
TISSUE = Tissue()


@pytest.fixture(scope="module")
def simulate():
    """A function from head and tissue to histories of a short turn about the axial axis."""
    white_matter = white_matter_voxels(8.0, 0.6)
    count = len(white_matter.index)
    direction = np.random.default_rng(4).standard_normal((count, 3))
    direction /= np.linalg.norm(direction, axis=1)[:, None]
    field = FibreField(direction, np.ones(count), np.ones(count, dtype=bool), "synthetic")
    time_s = np.arange(201) * 1e-4
    speed = pulse(time_s, 20.0, 0.01, 0.03, 0.0)
    impact = Impact(time_s, speed[:, None] * np.array([0.0, 0.0, 1.0]), "turn")
    return lambda head, tissue: strain_histories(head, tissue, impact, white_matter, field)


@pytest.fixture(scope="module")
def reference(simulate):
    return simulate(HEAD, TISSUE)


def test_variants_change_one_setting_each_by_the_stated_factor():
    values = {f"head.{key}": value for key, value in Head().model_dump().items()}
    values |= {f"tissue.{key}": value for key, value in TISSUE.model_dump().items()}
    variants = mechanics_variants(Head(), TISSUE, 3.0)
    assert [(variant.key, round(variant.value / values[variant.key], 4)) for variant in variants] == [
        ("head.element_mm", 0.75),
        ("tissue.hourglass_coefficient", 0.5),
        ("tissue.hourglass_coefficient", 2.0),
        ("tissue.bulk_modulus_MPa", 0.25),
        ("tissue.bulk_modulus_MPa", 4.0),
        ("head.scale", 0.9574),  # 0.90 of 0.94
        ("head.scale", 1.0638),  # 1.00 of 0.94
        ("tissue.courant", 0.5),
    ]
    assert len({variant.name for variant in variants}) == len(variants)


def test_all_else_stays():
    for variant in mechanics_variants(Head(), TISSUE, 3.0):
        head, tissue = with_variant(Head(), TISSUE, variant)
        before = {**Head().model_dump(), **TISSUE.model_dump()}
        after = {**head.model_dump(), **tissue.model_dump()}
        changed = {key: value for key, value in after.items() if value != before[key]}
        assert changed == {variant.key.split(".")[1]: variant.value}


def test_repeating_the_reference_gives_the_same_bits(simulate, reference):
    histories, elements = simulate(HEAD, TISSUE)
    assert histories.dtype == np.float32
    assert histories.shape[1] == 21
    assert histories.tobytes() == reference[0].tobytes()
    assert elements == reference[1] > 20
    assert 0.001 < peak_summary(histories)["p95"] < 1


@pytest.mark.parametrize("key", ["tissue.courant", "head.scale"])
def test_a_variant_differs_as_much_as_its_setting_matters(simulate, reference, key):
    variant = next(v for v in mechanics_variants(HEAD, TISSUE, 10.0) if v.key == key)
    found = history_difference(reference[0], simulate(*with_variant(HEAD, TISSUE, variant))[0])
    if key == "tissue.courant":
        # Time integration is of second order and the step far below what the motion needs.
        assert 0 < found["rms_history"] < 0.02
        assert found["r2"] > 0.999
    else:
        # A smaller head strains less: inertia of the brain falls with the square of its size.
        assert found["p95_change"] < -0.02
        assert found["rms_history"] > 0.02


def test_difference_of_scaled_histories_is_the_scale():
    rng = np.random.default_rng(0)
    before = rng.uniform(0, 0.1, (400, 30))
    found = history_difference(before, 1.1 * before)
    peak = before.max(axis=1)
    assert found["p95_change"] == pytest.approx(0.1)
    assert found["rms_history"] == pytest.approx(0.1)
    assert found["nrmse"] == pytest.approx(0.1 * np.sqrt(np.mean(peak**2)) / np.ptp(peak))
    assert found["r2"] == pytest.approx(1 - np.sum((0.1 * peak) ** 2) / np.sum((peak - peak.mean()) ** 2))
    same = history_difference(before, before)
    assert (same["p95_change"], same["r2"], same["nrmse"], same["rms_history"]) == (0, 1, 0, 0)


def test_peak_summary_is_over_voxels():
    histories = np.zeros((101, 5))
    histories[:, 2] = np.arange(101)
    assert peak_summary(histories) == {"p50": 50, "p95": 95, "max": 100}
