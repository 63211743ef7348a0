"""The stages on a toy study: no leak, equal bytes, resumption, refusal of foreign files, and the content of metrics."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from toy_surrogate_study import SAMPLES, STAGE, TARGETS, TOY, toy_cases, write_toy

from understudy.errors import InputError
from understudy.surrogate.cross_validation import cross_validate, read_cross_validation
from understudy.surrogate.evaluation import evaluate
from understudy.surrogate.learning_curve import measure_learning_curve
from understudy.surrogate.model_file import read_model
from understudy.surrogate.predict import predict
from understudy.surrogate.training import train

NAMES = [field.name for field in TARGETS]
HERE = Path(__file__).parent


def run_train(dataset: Path, folder: Path, stage=STAGE) -> Path:
    output = folder / "models.h5"
    train(TOY, dataset, stage, output=output, work=folder / "work", key="k", device="cpu")
    return output


def overwrite(path: Path, name: str, rows: np.ndarray, value: float) -> None:
    with h5py.File(path, "r+") as file:
        values = file[name][...]
        values[rows] = value
        file[name][...] = values


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """All stages once: paths by name."""
    folder = tmp_path_factory.mktemp("toy")
    paths = {"dataset": write_toy(folder / "truth.h5"), "folder": folder}
    common = {"work": folder / "work", "key": "k", "device": "cpu"}
    paths["models"] = run_train(paths["dataset"], folder)
    paths["folds"], paths["curve"] = folder / "folds.h5", folder / "curve.json"
    cross_validate(TOY, paths["dataset"], STAGE, output=paths["folds"], **common)
    measure_learning_curve(TOY, paths["dataset"], STAGE, output=paths["curve"], **common)
    paths["floor"] = folder / "floor.json"
    paths["floor"].write_text(json.dumps({"targets": {name: {"r2": 0.99, "nrmse": 0.01} for name in NAMES}}))
    paths["predictions"], paths["metrics"] = folder / "predictions.h5", folder / "metrics.json"
    evaluate(
        TOY,
        paths["dataset"],
        STAGE,
        models=paths["models"],
        folds=paths["folds"],
        curve=paths["curve"],
        floor=paths["floor"],
        predictions=paths["predictions"],
        metrics=paths["metrics"],
        device="cpu",
    )
    return paths


def test_training_and_folds_never_see_held_out_values(study, tmp_path):
    blind = write_toy(tmp_path / "truth.h5")
    with h5py.File(blind) as file:
        held = np.array([split == b"heldout" for split in file["split"][...]])
    assert held.sum() == 180
    for name in ("targets", "inputs"):
        overwrite(blind, name, held, np.nan)
    assert run_train(blind, tmp_path).read_bytes() == study["models"].read_bytes()
    folds = tmp_path / "folds.h5"
    cross_validate(TOY, blind, STAGE, output=folds, work=tmp_path / "w", key="k", device="cpu")
    assert folds.read_bytes() == study["folds"].read_bytes()


def test_calibration_values_move_intervals_but_not_weights(study, tmp_path):
    other = write_toy(tmp_path / "truth.h5")
    with h5py.File(other) as file:
        rows = np.array([split == b"calibration" for split in file["split"][...]])
    overwrite(other, "targets", rows, 0.5)
    a, b = (read_model(path, TOY) for path in (study["models"], run_train(other, tmp_path)))
    for first, second in zip(a.ensemble.members, b.ensemble.members, strict=True):
        assert all(np.array_equal(first.weights[name], second.weights[name]) for name in first.weights)
    assert (b.quantile > a.quantile).all()


def test_members_differ_and_roles_are_disjoint(study):
    model = read_model(study["models"], TOY)
    first, second = (member.weights["head.0.weight"] for member in model.ensemble.members)
    assert not np.array_equal(first, second)
    roles = [set(getattr(model.roles, f"{role}_group")) for role in ("fitted", "stopping", "calibration")]
    assert len(set.union(*roles)) == sum(map(len, roles)) == 14
    assert 3 not in model.roles.fitted_case and 3 not in model.roles.stopping_case, "case 3 had failed"


def test_models_depend_on_the_seed_and_not_on_the_time(study, tmp_path):
    time.sleep(1.1)
    assert run_train(study["dataset"], tmp_path).read_bytes() == study["models"].read_bytes()
    other = run_train(study["dataset"], tmp_path / "other", {**STAGE, "seed": 12})
    assert other.read_bytes() != study["models"].read_bytes()


_VICTIM = """
import sys
from pathlib import Path
sys.path.insert(0, {here!r})
from toy_surrogate_study import STAGE, TOY
from understudy.surrogate import network_fit
from understudy.surrogate.training import train
folder, dataset = Path(sys.argv[1]), Path(sys.argv[2])
fit = network_fit.fit_network.__defaults__
network_fit.fit_network.__defaults__ = (*fit[:-1], 0.0)  # a checkpoint after every epoch
run = network_fit._Fit.run_epoch
epochs = [0]
def slow(self):
    epochs[0] += 1
    print("epoch", epochs[0], flush=True)
    return run(self)
network_fit._Fit.run_epoch = slow
train(TOY, dataset, STAGE, output=folder / "models.h5", work=folder / "work", key="k", device="cpu")
"""


@pytest.mark.parametrize("kill_at", [5, 12, 17])
def test_killed_training_resumes_to_the_same_bytes(study, tmp_path, kill_at):
    """Killed within the first member, at its end, and within the second (12 epochs each)."""
    command = [sys.executable, "-c", _VICTIM.format(here=str(HERE)), str(tmp_path), str(study["dataset"])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=HERE) as victim:
        for line in victim.stdout:
            if line.strip() == f"epoch {kill_at + 1}":
                os.kill(victim.pid, signal.SIGKILL)
                break
    assert victim.returncode == -signal.SIGKILL and not (tmp_path / "models.h5").exists()
    assert len(list((tmp_path / "work" / "k").glob("member_*.pt"))) == 1 + kill_at // 13
    rest = subprocess.run(command, capture_output=True, text=True, cwd=HERE, check=True)
    # At most the epoch under way is run again: 24 in all.
    assert rest.stdout.count("epoch") <= 24 - kill_at + 1
    assert (tmp_path / "models.h5").read_bytes() == study["models"].read_bytes()


def test_checkpoint_of_other_data_is_not_continued(study, tmp_path):
    other = write_toy(tmp_path / "other.h5", seed=2)
    run_train(other, tmp_path)
    assert run_train(study["dataset"], tmp_path).read_bytes() == study["models"].read_bytes()


def test_cross_validation_holds_each_training_case_once_and_no_group_twice(study):
    folds = read_cross_validation(study["folds"], "toy")
    for kind in ("random", "grouped"):
        assert len(folds[kind]["case"]) == 159 and np.isfinite(folds[kind]["mean"]).all()
        assert set(folds[kind]["fold"]) == {0, 1, 2}
    group, fold = folds["grouped"]["group"], folds["grouped"]["fold"]
    assert all(len(set(fold[group == g])) == 1 for g in set(group))
    assert any(len(set(folds["random"]["fold"][group == g])) > 1 for g in set(group))


def test_learning_curve_skips_what_is_not_there_and_has_baselines(study):
    curve = json.loads(study["curve"].read_text())
    assert [point["n"] for point in curve["learning_curve"]] == [20, 60] and curve["skipped"] == [10_000]
    assert set(curve["baselines"]) == {"peak", "gradient_boosting", "gaussian_process"}
    assert all([point["n"] for point in points] == [20, 60] for points in curve["baselines"].values())


def test_metrics_are_those_of_the_stored_predictions(study):
    metrics = json.loads(study["metrics"].read_text())
    with h5py.File(study["predictions"]) as file:
        held = {name: file["heldout"][name][...] for name in ("truth", "mean", "lower", "upper", "subset", "group")}
        baseline = file["heldout/baselines/peak/mean"][...]
    rows = held["subset"] == b"random"
    assert metrics["n_heldout"] == rows.sum() == 174 and metrics["n_train"] == 159
    for t, name in enumerate(NAMES):
        truth, mean = held["truth"][rows, t], held["mean"][rows, t]
        r2 = 1 - np.sum((truth - mean) ** 2) / np.sum((truth - truth.mean()) ** 2)
        assert metrics["targets"][name]["r2"] == pytest.approx(r2)
        inside = (held["lower"][rows, t] <= truth) & (truth <= held["upper"][rows, t])
        assert metrics["targets"][name]["coverage90"] == pytest.approx(inside.mean())
        judged = metrics["coverage_judgement"][name]
        assert judged["passed"] is None and "174 cases" in judged["reason"]
        nrmse = np.sqrt(np.mean((truth - baseline[rows, t]) ** 2)) / np.ptp(truth)
        assert metrics["baselines"]["peak"][name]["nrmse"] == pytest.approx(nrmse)
        difference = metrics["targets"][name]["nrmse"] - nrmse
        assert metrics["paired"]["peak"][name]["difference_nrmse"] == pytest.approx(difference)
        for baseline_name in metrics["baselines"]:
            interval = metrics["baseline_intervals"][baseline_name][name]
            # Calibrated on 2 of the toy study's groups alone: near the nominal 90 %, but not nearer.
            assert 0.6 <= interval["coverage"] <= 1 and interval["width"] > 0
    assert metrics["subsets"]["worst_case"]["n"] == 6
    assert metrics["noise_floor"]["failed_share"]["r2"] == 0.99
    assert [entry["n"] for entry in metrics["folds"]["random"]] == [53, 53, 53]


def test_prediction_flags_what_training_did_not_hold(study):
    inputs, targets, _ = toy_cases(6, 20, seed=5)
    usual = predict(study["models"], inputs, definition=TOY)
    assert usual.mean.shape == usual.lower.shape == targets.shape
    assert (usual.lower <= usual.mean).all() and (usual.mean <= usual.upper).all()
    assert usual.flagged.mean() < 0.2
    alternating = 3 * inputs * np.where(np.arange(SAMPLES) % 2, 1, -1).astype(np.float32)
    assert predict(study["models"], alternating, definition=TOY).flagged.mean() > 0.95


def test_a_case_is_predicted_alike_alone_and_among_others(study):
    inputs, _, _ = toy_cases(4, 20, seed=6)
    together = predict(study["models"], inputs, definition=TOY)
    alone = predict(study["models"], inputs[7:8], definition=TOY)
    # Matrix products of another size round differently in float32.
    np.testing.assert_allclose(alone.mean[0], together.mean[7], rtol=1e-4, atol=1e-6)


def test_model_file_refuses_what_it_is_not(study, tmp_path):
    whole = study["models"].read_bytes()
    path = tmp_path / "m.h5"
    for content, message in (
        (whole[: len(whole) // 2], "truncated"),
        (b"no HDF5 at all", "cannot be read"),
        (b"", "cannot be read"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=message):
            read_model(path, TOY)
    with pytest.raises(InputError, match=r"schema 'understudy\.ground_truth'"):
        read_model(study["dataset"], TOY)
    for change, message in (
        ({"study": "other"}, "model of study 'other'; accepted is study 'toy'"),
        ({"schema_version": 99}, "schema version 99"),
    ):
        path.write_bytes(whole)
        with h5py.File(path, "r+") as file:
            for name, value in change.items():
                file.attrs[name] = value
        with pytest.raises(InputError, match=message):
            read_model(path, TOY)
    path.write_bytes(whole)
    with h5py.File(path, "r+") as file:
        del file["intervals/quantile"]
    with pytest.raises(InputError, match="incomplete"):
        read_model(path, TOY)


def test_stages_refuse_ground_truth_of_another_study_and_too_few_groups(tmp_path):
    other = write_toy(tmp_path / "truth.h5", study="other")
    with pytest.raises(InputError, match="study 'other'"):
        run_train(other, tmp_path)
    one = write_toy(tmp_path / "one.h5", training=(1, 30))
    with pytest.raises(InputError, match="at least 2"):
        run_train(one, tmp_path)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (np.zeros((2, 1, SAMPLES + 1)), r"found shape \(2, 1, 25\); accepted is \(cases, 1, 24\)"),
        (np.full((2, 1, SAMPLES), np.nan), "NaN or infinity in case 0"),
    ],
)
def test_prediction_refuses_wrong_inputs(study, inputs, message):
    with pytest.raises(InputError, match=message):
        predict(study["models"], inputs, definition=TOY)
