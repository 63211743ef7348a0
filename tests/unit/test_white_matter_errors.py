"""Errors over a whole white matter: known differences come back in the right classes, tracts, elements and sets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from understudy.axon.white_matter_errors import FILLED, SMALLEST_TRACT, VoxelPairs, white_matter_errors
from understudy.surrogate.metrics import mape, nrmse, pearson_r, r2

NAMES = ("strain", "failed")
TRACTS = ("small", "long", "round")
# Voxels of each tract: one is too small for errors of its own; -1 has no streamlines.
SIZES = {0: SMALLEST_TRACT - 1, 1: 60, 2: 70, -1: 21}


@pytest.fixture
def pairs() -> VoxelPairs:
    """Two targets on 200 voxels; the surrogate differs by a known rule, four voxels share an element."""
    rng = np.random.default_rng(3)
    tract = np.repeat(list(SIZES), list(SIZES.values()))
    n = len(tract)
    direct = np.stack([rng.uniform(0, 0.5, n), rng.uniform(0, 1, n)], axis=1)
    mean = direct + 0.01 * rng.standard_normal((n, 2))
    return VoxelPairs(
        direct=direct,
        mean=mean.astype(np.float32),
        lower=mean - 0.015,
        upper=mean + 0.015,
        peak_strain=rng.uniform(0, 0.3, n),
        element=np.arange(n) // 4,
        covered=tract >= 0,
        flagged=np.arange(n) % 5 == 0,
        tract=tract,
    )


def test_measures_over_all_voxels_are_those_of_the_definitions(pairs):
    found = white_matter_errors(NAMES, pairs, TRACTS)
    assert (found["n"], found["failed"], found["elements"]) == (200, 0, 50)
    for column, name in enumerate(NAMES):
        truth, mean = pairs.direct[:, column], pairs.mean[:, column].astype(float)
        entry = found["targets"][name]
        expected = {"r2": r2, "nrmse": nrmse, "mape": mape, "pearson_r": pearson_r}
        for measure, function in expected.items():
            assert entry[measure] == pytest.approx(function(truth, mean), rel=1e-12), measure
        assert entry["bias"] == pytest.approx(np.mean(mean - truth), rel=1e-12)
        inside = (truth >= pairs.lower[:, column]) & (truth <= pairs.upper[:, column])
        assert entry["coverage90"] == inside.mean()
        assert 0.5 < entry["coverage90"] < 1


def test_sets_by_streamlines_and_flags(pairs):
    found = white_matter_errors(NAMES, pairs, TRACTS)
    covered = pairs.covered
    assert (found["covered"]["n"], found["filled"]["n"]) == (179, 21)
    for part, mask in (("covered", covered), ("filled", ~covered)):
        expected = r2(pairs.direct[mask, 1], pairs.mean[mask, 1])
        assert found[part]["targets"]["failed"]["r2"] == pytest.approx(expected, rel=1e-6)
    assert found["flagged"]["share"] == pytest.approx(0.2)
    flagged = nrmse(pairs.direct[pairs.flagged, 0], pairs.mean[pairs.flagged, 0])
    assert found["flagged"]["targets"]["strain"]["nrmse"] == pytest.approx(flagged, rel=1e-6)


def test_sets_without_voxels_are_none(pairs):
    n = len(pairs)
    found = white_matter_errors(
        NAMES, replace(pairs, covered=np.ones(n, dtype=bool), flagged=np.zeros(n, dtype=bool), tract=None)
    )
    assert found["filled"] is None
    assert found["covered"]["n"] == n
    assert found["by_tract"] is None
    assert found["flagged"] == {"share": 0.0, "targets": None}


def test_failed_simulations_are_left_out_everywhere_and_counted(pairs):
    direct = pairs.direct.copy()
    direct[[5, 150], 0] = np.nan
    broken = white_matter_errors(NAMES, replace(pairs, direct=direct), TRACTS)
    rows = np.delete(np.arange(len(pairs)), [5, 150])
    without = white_matter_errors(NAMES, pairs.take(rows), TRACTS)
    assert broken.pop("failed") == 2
    assert without.pop("failed") == 0
    assert broken == without
    assert broken["n"] == 198


def test_no_success_at_all_is_an_error(pairs):
    with pytest.raises(ValueError, match="no voxel"):
        white_matter_errors(NAMES, replace(pairs, direct=np.full_like(pairs.direct, np.nan)), TRACTS)


def test_classes_of_peak_strain(pairs):
    n = len(pairs)
    # Below zero (never in tension), on an edge (belongs to the upper class), and in the open class.
    peak = np.full(n, 0.06)
    peak[:3], peak[3:10], peak[10:30] = -0.01, 0.005, 0.7
    mean = pairs.direct.copy()
    mean[10:30] += 0.02
    found = white_matter_errors(NAMES, replace(pairs, peak_strain=peak, mean=mean), TRACTS)["by_strain"]
    assert [(entry["low"], entry["high"], entry["n"]) for entry in found] == [
        (0.0, 0.005, 3),
        (0.005, 0.01, 7),
        (0.05, 0.075, n - 30),
        (0.2, None, 20),
    ]
    strain = found[-1]["targets"]["strain"]
    span = np.ptp(pairs.direct[:, 0])
    assert strain["rmse"] == pytest.approx(0.02)
    assert strain["bias"] == pytest.approx(0.02)
    # Of the range of all voxels, not of the class.
    assert strain["nrmse"] == pytest.approx(0.02 / span)
    assert strain["mean_surrogate"] - strain["mean_direct"] == pytest.approx(0.02)
    assert strain["mean_direct"] == pytest.approx(pairs.direct[10:30, 0].mean())
    assert found[0]["targets"]["strain"]["rmse"] == 0


def test_tracts_large_enough_by_size_then_voxels_without_one(pairs):
    mean = pairs.direct.copy()
    mean[pairs.tract == 1, 0] -= 0.03
    found = white_matter_errors(NAMES, replace(pairs, mean=mean), TRACTS)["by_tract"]
    assert [(row["tract"], row["n"]) for row in found] == [("round", 70), ("long", 60), (FILLED, 21)]
    biased = {row["tract"]: row["targets"]["strain"]["bias"] for row in found}
    assert biased == pytest.approx({"round": 0.0, "long": -0.03, FILLED: 0.0}, abs=1e-12)
    inside = pairs.tract == 1
    long = found[1]["targets"]["strain"]
    assert long["r2"] == pytest.approx(r2(pairs.direct[inside, 0], mean[inside, 0]))
    assert long["nrmse"] == pytest.approx(0.03 / np.ptp(pairs.direct[:, 0]))


def test_errors_that_cancel_within_an_element_vanish_in_its_mean(pairs):
    alternating = np.where(np.arange(len(pairs)) % 2, 0.1, -0.1)[:, None]
    found = white_matter_errors(NAMES, replace(pairs, mean=pairs.direct + alternating), TRACTS)
    assert found["by_element"]["n"] == 50
    assert found["targets"]["strain"]["nrmse"] > 0.1
    assert found["by_element"]["targets"]["strain"]["nrmse"] == pytest.approx(0, abs=1e-12)
    assert found["by_element"]["targets"]["strain"]["r2"] == pytest.approx(1)


def test_a_constant_target_has_no_r2(pairs):
    direct = pairs.direct.copy()
    direct[:, 1] = 0.0
    found = white_matter_errors(NAMES, replace(pairs, direct=direct, mean=direct), TRACTS)
    assert np.isnan(found["targets"]["failed"]["r2"])
    assert np.isnan(found["by_strain"][0]["targets"]["failed"]["nrmse"])
    assert found["targets"]["failed"]["bias"] == 0
