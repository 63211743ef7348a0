"""What the surrogate machine must reach on a problem whose answer depends on the whole history, by design."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit"))
from toy_surrogate_study import STAGE, TOY, write_toy

from understudy.surrogate.cross_validation import cross_validate
from understudy.surrogate.evaluation import evaluate
from understudy.surrogate.learning_curve import measure_learning_curve
from understudy.surrogate.training import train

TRAINING = {"members": 3, "epochs": 60, "patience": 60, "batch_size": 32, "learning_rate": 0.01}


@pytest.fixture(scope="module")
def metrics(tmp_path_factory):
    folder = tmp_path_factory.mktemp("accuracy")
    dataset = write_toy(folder / "truth.h5", training=(20, 25), calibration=(20, 40), heldout=(12, 101), seed=3)
    surrogate = STAGE["surrogate"] | {
        "training": TRAINING,
        "learning_curve": {"sizes": (40, 480)},
        "evaluation": {"bootstrap": 500, "gp_largest_training_set": 500},
    }
    stage = STAGE | {"surrogate": surrogate}
    common = {"work": folder / "work", "key": "k", "device": "cpu"}
    paths = {name: folder / name for name in ("models", "folds", "curve", "predictions", "metrics")}
    train(TOY, dataset, stage, output=paths["models"], **common)
    cross_validate(TOY, dataset, stage, output=paths["folds"], **common)
    measure_learning_curve(TOY, dataset, stage, output=paths["curve"], **common)
    evaluate(TOY, dataset, stage, floor=None, device="cpu", **paths)
    return json.loads(paths["metrics"].read_text())


def test_network_learns_the_filter_and_its_threshold(metrics):
    # The target is a function of the history without noise: 333 fitted cases leave about 1 % of its variance.
    assert all(entry["r2"] > 0.98 for entry in metrics["cross_validation"]["grouped"].values())
    # Held-out groups are drawn anew and reach beyond the largest training loads, where nothing was learned.
    assert all(entry["r2"] > 0.93 for entry in metrics["targets"].values())


def test_network_beats_the_peak_alone_and_the_interval_says_so(metrics):
    for paired in metrics["paired"]["peak"].values():
        assert paired["verdict"] == "network better" and paired["high"] < 0


def test_baselines_are_no_straw_men(metrics):
    # The peak alone explains most of both targets; trees and process see more and do better.
    for target, entry in metrics["baselines"]["peak"].items():
        assert 0.5 < entry["r2"] < metrics["baselines"]["gradient_boosting"][target]["r2"]
        assert metrics["baselines"]["gaussian_process"][target]["r2"] > 0.9


def test_intervals_of_new_groups_cover_near_the_nominal_share(metrics):
    for judged in metrics["coverage_judgement"].values():
        assert judged["n"] == 1200 and judged["groups"] == 12
        # 20 calibration groups: their own scatter adds to that of the 12 held-out ones, some 3 % together.
        assert abs(judged["coverage"] - 0.9) < 0.07
        assert judged["passed"] is not None


def test_more_cases_help_network_and_baselines(metrics):
    small, large = metrics["learning_curve"]
    for target in small["r2"]:
        assert large["nrmse"][target] < 0.8 * small["nrmse"][target]
    for points in metrics["learning_curve_baselines"].values():
        assert np.mean(list(points[1]["nrmse"].values())) < np.mean(list(points[0]["nrmse"].values()))
