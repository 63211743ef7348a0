"""Comparison of threshold predictors: errors, paired intervals, population medians."""

import numpy as np
import pytest

from understudy.errors import InputError
from understudy.tms.model_comparison import compare_mape, population_median, summarise


def test_summary_sees_a_bias_that_a_correlation_does_not():
    truth = np.array([100.0, 200.0, 300.0, 400.0])
    found = summarise(truth, 1.5 * truth)
    assert found["mape"] == pytest.approx(0.5) and found["bias"] == pytest.approx(0.5)
    assert found["r2"] == pytest.approx(1 - np.sum((0.5 * truth) ** 2) / np.sum((truth - 250) ** 2))
    assert found["r2"] < 0 < np.corrcoef(truth, 1.5 * truth)[0, 1] ** 2


def test_paired_intervals_over_groups():
    generator = np.random.default_rng(1)
    group = np.repeat(np.arange(12), 50)
    truth = generator.uniform(100, 400, size=600)
    noise = generator.normal(size=600)
    models = {
        "network": truth * (1 + 0.01 * noise),
        "map": truth * (1 + 0.06 * noise),
        "twin": truth * (1 - 0.01 * noise),
    }
    found = compare_mape(truth, models, "network", group, 500, np.random.default_rng(2))
    assert found["map"]["ratio"]["value"] == pytest.approx(1 / 6, rel=1e-6)
    # The errors are proportional case by case, so pairing leaves no scatter in the ratio.
    assert found["map"]["ratio"]["low"] == pytest.approx(1 / 6, rel=1e-6) == found["map"]["ratio"]["high"]
    assert found["map"]["difference"]["high"] < 0 and found["map"]["verdict"] == "network better"
    assert found["twin"]["verdict"] == "no difference"
    assert "ratio" not in found["network"]
    one = compare_mape(truth, models, "network", np.zeros(600, int), 500, np.random.default_rng(2))
    assert one["map"]["difference"]["low"] is None and one["map"]["verdict"].startswith("not judged")


def test_a_missing_prediction_is_refused():
    truth = np.array([100.0, 200.0])
    with pytest.raises(InputError, match="model map: found nan as threshold of case 1"):
        compare_mape(truth, {"map": np.array([100, np.nan])}, "map", np.arange(2), 100, np.random.default_rng(1))


def test_median_of_each_population():
    position = np.array([1, 0, 1, 0, 0, 1, 1])
    cell_type = np.array([0, 0, 0, 0, 0, 0, 1])
    threshold = np.array([30.0, 1.0, 10.0, 3.0, 2.0, 20.0, 5.0])
    names, median = population_median(threshold, (position, cell_type))
    assert names.tolist() == [[0, 0], [1, 0], [1, 1]]
    assert median.tolist() == [2.0, 20.0, 5.0]
    _, even = population_median(np.array([1.0, 2.0, 4.0, 9.0]), (np.zeros(4, int),))
    assert even.tolist() == [3.0]
