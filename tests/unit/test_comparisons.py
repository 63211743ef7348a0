"""Comparisons beside the main study: both sexes in one data set, rates, saturation, tracts, and the programs."""

from __future__ import annotations

import importlib.util
import json
from argparse import Namespace
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml
from toy_axon_run import LABELS, MEANS, SAMPLES, histories, response, write_field, write_strain, write_truth

from understudy.axon.axon_mechanics import TARGETS
from understudy.axon.comparisons import (
    check_variant,
    rate_slopes,
    saturated_share,
    tract_distributions,
    write_joint_ground_truth,
)
from understudy.axon.config import Injury, Network
from understudy.axon.files import VoxelMaps, read_voxel_maps, write_voxel_maps
from understudy.axon.surrogate import SURROGATE
from understudy.axon.tracts import Tracts
from understudy.dataset import open_ground_truth
from understudy.errors import InputError
from understudy.provenance.fingerprint import REPOSITORY
from understudy.surrogate.model_file import read_model

# What the other variant's file holds: a part of every impact's cases.
PART = np.flatnonzero(np.arange(240) % 3 != 0)
STAGE = {
    "study": "axon",
    "seed": 3,
    "network": Network().model_dump(mode="json"),
    "surrogate": {
        "training": {"members": 2, "epochs": 6, "patience": 6, "learning_rate": 0.02},
        "calibration": {"coverage": 0.9, "novelty_quantile": 0.95},
        "evaluation": {"bootstrap": 100, "gp_largest_training_set": 50, "pca_components": 3},
    },
}


def files(folder: Path, variant: str, factor: float = 1.3) -> tuple[Path, Path]:
    """The study's own ground truth, and another axon's on a part of its cases."""
    own = write_truth(folder / "ground_truth.h5", means=True)
    other = write_truth(folder / "other.h5", factor, PART, means=True, variant=variant)
    return own, other


@pytest.mark.parametrize(
    ("sex", "own_context", "other_context"), [("male", (19, 500), (12, 370)), ("female", (12, 370), (19, 500))]
)
def test_both_sexes_in_one_data_set(tmp_path, sex, own_context, other_context):
    own_path, other_path = files(tmp_path, "other_sex")
    with open_ground_truth(own_path) as own, open_ground_truth(other_path) as other:
        offset = write_joint_ground_truth(tmp_path / "joint.h5", own, other, Injury(sex=sex))
    with open_ground_truth(tmp_path / "joint.h5", "axon") as joint:
        n = len(PART)
        assert offset == 1000 and joint.attributes["other_sex_case_offset"] == 1000
        assert joint.case.tolist() == [*PART.tolist(), *(PART + 1000).tolist()]
        assert [tuple(field) for field in joint.context_fields] == [("microtubules", "1"), ("radius_nm", "nm")]
        rows = np.arange(joint.n)
        context, targets, inputs = joint.context(rows), joint.targets(rows), joint.inputs(rows)
        assert (context[:n] == own_context).all() and (context[n:] == other_context).all()
        assert np.array_equal(inputs[:n], inputs[n:])
        assert np.allclose(targets[n:, 0], 1.3 * targets[:n, 0]) and targets[:, 0].min() > 0
        for column in (joint.group, joint.split, joint.subset):
            assert np.array_equal(column[:n], column[n:])


def test_a_pair_with_a_failed_half_is_left_out(tmp_path):
    own_path, other_path = files(tmp_path, "other_sex")
    with h5py.File(other_path, "r+") as file:
        failed = file["failed"][...].astype("S8")
        failed[4] = b"diverged"
        del file["failed"]
        file["failed"] = failed
    with open_ground_truth(own_path) as own, open_ground_truth(other_path) as other:
        write_joint_ground_truth(tmp_path / "joint.h5", own, other, Injury())
    with open_ground_truth(tmp_path / "joint.h5") as joint:
        assert not {PART[4], PART[4] + 1000} & set(joint.case.tolist())
        assert joint.n == 2 * (len(PART) - 1)


def test_another_variant_is_refused(tmp_path):
    own_path, other_path = files(tmp_path, "other_criterion")
    with open_ground_truth(own_path) as own, open_ground_truth(other_path) as other:
        check_variant(other, "other_criterion")
        with pytest.raises(InputError, match="variant 'other_criterion'; accepted is 'other_sex'"):
            write_joint_ground_truth(tmp_path / "joint.h5", own, other, Injury())
        with pytest.raises(InputError, match="variant 'none'"):
            check_variant(own, "other_sex")


VERIFICATION = {
    "rate_dependence": {
        "rate_per_s": [1.0, 11.0, 21.0],
        "peak_strain": 0.05,
        "outputs": {
            "elongation": [[0.1, 0.2, 0.3, 0.4], [0.2, 0.1, 0.3, 0.3], [0.3, 0.2, 0.2, 0.4]],
            "bell": [[0.1, 0.2, 0.2, 0.4], [0.2, 0.1, 0.3, 0.3], [0.3, 0.3, 0.4, 0.1]],
        },
    }
}


def test_slopes_with_rate_have_size_and_sign():
    found = rate_slopes(VERIFICATION, "elongation", Path("verification.json"))
    assert (found.peak_strain, found.lowest_per_s, found.highest_per_s) == (0.05, 1.0, 21.0)
    outputs = [found.slopes[name] for name in TARGETS]
    assert [entry["value"] for entry in outputs] == pytest.approx([0.01, 0.0, -0.005, 0.0])
    assert [entry["sign"] for entry in outputs] == [1, 0, -1, 0]
    assert [entry["monotone"] for entry in outputs] == [True, False, False, False]
    assert rate_slopes(VERIFICATION, "bell", Path("v")).slopes["tau_failed"]["sign"] == 1
    for wrong in ({}, {"rate_dependence": {**VERIFICATION["rate_dependence"], "outputs": {}}}):
        with pytest.raises(InputError, match=r"verification\.json: found no rate dependence of the bell"):
            rate_slopes(wrong, "bell", Path("verification.json"))


def test_saturation_is_counted_against_the_largest():
    assert saturated_share(np.array([0.1, 0.76, 0.77, 0.8]), largest=0.8) == 0.5
    assert saturated_share(np.array([0.1, 0.76, 0.77, 0.8]), largest=1.0) == 0.0


def test_distributions_by_tract_of_a_uniform_ramp():
    number = np.repeat([1, 0, -1, 2], [101, 201, 30, 49])
    tracts = Tracts(number, ("Large", "Small", "Tiny"))
    ramp = np.concatenate([np.linspace(0, 1, 101), np.linspace(1, 3, 201), np.full(79, 99.0)])
    found = tract_distributions({"male": {"a": ramp}, "female": {"a": 2 * ramp}}, tracts)
    assert [(entry["tract"], entry["n"]) for entry in found] == [("Large", 201), ("Small", 101)]
    assert found[1]["male"]["a"] == pytest.approx({"p5": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95})
    assert found[0]["female"]["a"]["p50"] == pytest.approx(4.0)
    assert tract_distributions({"male": {"a": ramp}}, None) is None


def program(name: str):
    """A program's module."""
    spec = importlib.util.spec_from_file_location(name, REPOSITORY / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(name: str, folder: Path, stage: dict, **arguments) -> None:
    config = folder / f"{name}.yaml"
    config.write_text(yaml.safe_dump({**STAGE, **stage}))
    program(name).run(Namespace(config=config, code=None, overwrite=False, device="cpu", **arguments))


def test_sexes_are_compared_as_they_are(tmp_path):
    # The female axon's outputs are 1.3 times the male ones, or saturate towards 1.
    own, other = files(tmp_path, "other_sex")
    outputs = {"joint": tmp_path / "sexes/ground_truth.h5", "models": tmp_path / "sexes/models.h5"}
    outputs |= {"maps": tmp_path / "sex_maps.h5", "comparison": tmp_path / "sex_comparison.json"}
    stage = {"injury": {"sex": "male", "radius_male_nm": 500.0, "radius_female_nm": 370.0}}
    stage["surrogate"] = {
        **STAGE["surrogate"],
        "training": {**STAGE["surrogate"]["training"], "epochs": 60, "patience": 60},
    }
    run("compare_sexes", tmp_path, stage, dataset=own, other=other, strain=write_strain(tmp_path / "fibre_strain.h5"),
        field=write_field(tmp_path / "fibre_orientation.h5"), **outputs)  # fmt: skip
    found = json.loads(outputs["comparison"].read_text())
    model = read_model(outputs["models"], SURROGATE)
    assert [field.name for field in model.context_fields] == ["microtubules", "radius_nm"]
    training = int((PART < 120).sum())
    assert found["n_train"] == len(model.roles.fitted_case) + len(model.roles.stopping_case) == 2 * training
    assert set(found["heldout"]) == {"male", "female"}
    assert set(found["heldout"]["male"]) == {*TARGETS, *MEANS}
    assert found["heldout"]["female"]["axolemma_strain_mean"]["r2"] > 0.5

    held = PART[(PART >= 180) & (PART % 30 < 25)]
    assert found["n_heldout"] == len(held)
    strain = histories()[held // 30, 4 * (held % 30)]
    truth = (response(strain, 1.3) - response(strain))[:, 1].mean()
    difference = found["paired_difference"]["axolemma_strain"]
    assert difference["truth_mean"] == pytest.approx(truth)
    assert difference["predicted_mean"] == pytest.approx(truth, rel=0.5)

    assert [entry["impact"] for entry in found["impacts"]] == [LABELS[6], LABELS[7]]
    assert found["impacts"][0]["peak_velocity"] == pytest.approx(5.0 * 7)
    first = found["impacts"][0]
    assert first["share_female_worse"]["axolemma_strain_mean"] > 0.8
    assert [entry["tract"] for entry in found["by_tract"]] == ["Fornix", "Cingulum"]
    maps = read_voxel_maps(outputs["maps"])
    assert maps.impact == 6
    assert list(maps.values) == [f"{sex}/{name}" for sex in ("male", "female") for name in MEANS]
    fornix = maps.values["female/tau_failed_mean"][60:130]
    assert found["by_tract"][0]["female"]["tau_failed_mean"]["p50"] == pytest.approx(np.median(fornix), rel=1e-5)
    assert first["mean"]["male"]["tau_failed_mean"] == pytest.approx(
        maps.values["male/tau_failed_mean"].mean(), rel=1e-5
    )


def test_criteria_are_compared_on_the_same_profiles(tmp_path):
    own = write_truth(tmp_path / "ground_truth.h5")
    other = write_truth(tmp_path / "other.h5", 3.0, PART, variant="other_criterion")
    (tmp_path / "verification.json").write_text(json.dumps(VERIFICATION))
    run("compare_criteria", tmp_path, {"injury": {"tau_criterion": "elongation"}}, dataset=own, other=other,
        verification=tmp_path / "verification.json", criteria=tmp_path / "criteria.json")  # fmt: skip
    found = json.loads((tmp_path / "criteria.json").read_text())
    held = PART[PART >= 180]
    random, worst = held[held % 30 < 25], held[held % 30 >= 25]
    assert found["headline"] == "elongation" and set(found["criteria"]) == {"elongation", "bell"}
    assert found["n_train"] == (PART < 120).sum()
    assert (found["n_heldout"], found["n_worst_case"]) == (len(random), len(worst))
    for criterion, factor in (("elongation", 1.0), ("bell", 3.0)):
        entry = found["criteria"][criterion]
        assert set(entry["targets"]) == set(entry["worst_case"]) == set(TARGETS)
        assert set(entry["baselines"]) == {"peak_strain", "gradient_boosting", "gaussian_process"}
        assert entry["baselines"]["peak_strain"]["axolemma_strain"]["r2"] > 0.9
        used = np.concatenate([PART[PART < 120], held])
        tau = response(histories()[used // 30, 4 * (used % 30)], factor)[:, 2]
        of_random = response(histories()[random // 30, 4 * (random % 30)], factor)[:, 2]
        assert entry["largest_tau_failed"] == pytest.approx(tau.max())
        assert entry["saturated"] == pytest.approx(np.mean(of_random > 0.95 * tau.max()))
        assert entry["rate"]["tau_failed"]["sign"] == (-1 if criterion == "elongation" else 1)


def test_samplings_are_compared_at_equal_numbers(tmp_path):
    strain = write_strain(tmp_path / "fibre_strain.h5")
    direct = response(histories()[6])
    direct[3, 0] = np.nan
    maps = {name: direct[:, t] for t, name in enumerate(TARGETS)}
    write_voxel_maps(tmp_path / "white_matter.h5", VoxelMaps(maps, 6))
    stage = {
        "injury": {"length_um": 4.0, "node_length_um": 0.5},
        "sampling": {"method": "stratified_adaptive", "kmeans_share": 0.25, "random_share": 0.25},
        "comparison": {"sampling_sizes": [20, 40, 100_000], "sampling_members": 2},
    }
    run("compare_samplings", tmp_path, stage, strain=strain, dataset=write_truth(tmp_path / "ground_truth.h5"),
        white_matter=tmp_path / "white_matter.h5", comparison=tmp_path / "comparison.json")  # fmt: skip
    found = json.loads((tmp_path / "comparison.json").read_text())
    assert found["sizes"] == [20, 40] and found["skipped"] == [100_000]
    assert set(found["ways"]) == {"mixed", "stratified_adaptive", "random", "kmeans", "active"}
    for points in found["ways"].values():
        assert [point["n"] for point in points] == [20, 40]
        for point in points:
            assert set(point["white_matter"]) == set(TARGETS)
            assert point["random"]["axolemma_strain"]["nrmse"] > 0
    # Active learning starts from the random choice, with the same weights.
    assert found["ways"]["active"][0] == found["ways"]["random"][0]
    assert found["ways"]["active"][1] != found["ways"]["random"][1]
    assert found["judged"] == {"random": 50, "worst_case": 10, "white_matter": 143}
    assert 40 < found["simulated"] <= 2 * (20 + 40) + 2 * 60 + 20
    for name in ("random", "worst_case", "white_matter"):
        level = found["ways"]["random"][1][name]["tau_failed"]["nrmse"]
        needed = found["profiles_for_same_error"][name]["tau_failed"]
        for way, points in found["ways"].items():
            if min(point[name]["tau_failed"]["nrmse"] for point in points) > level:
                assert needed[way] is None
            else:
                assert 20 <= needed[way] <= 40


def test_sizes_that_no_way_can_give_are_refused(tmp_path):
    stage = {
        "injury": {"length_um": 4.0, "node_length_um": 0.5},
        "sampling": {"method": "stratified_adaptive"},
        "comparison": {"sampling_sizes": [1000], "sampling_members": 2},
    }
    with pytest.raises(
        InputError, match=r"comparison\.sampling_sizes: found \[1000\], accepted are numbers of at most"
    ):
        run("compare_samplings", tmp_path, stage, strain=write_strain(tmp_path / "fibre_strain.h5"),
            dataset=write_truth(tmp_path / "ground_truth.h5"), white_matter=None,
            comparison=tmp_path / "comparison.json")  # fmt: skip


def test_sexes_that_cannot_be_told_apart_are_refused(tmp_path):
    own, other = files(tmp_path, "other_sex")
    stage = {"injury": {"microtubules_female": 19, "radius_female_nm": 500.0}}
    with pytest.raises(InputError, match=r"injury\.microtubules_female"):
        run("compare_sexes", tmp_path, stage, dataset=own, other=other, strain=own, field=own)


def test_the_toy_run_has_what_the_tests_assume():
    assert histories().shape == (8, 144, SAMPLES) and 0.02 < histories().max() < 0.5
