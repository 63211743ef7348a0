"""Folds, transforms, intervals, novelty and group bootstrap, each against what it must be by definition."""

import numpy as np
import pytest
from toy_surrogate_study import TOY, toy_cases

from understudy.errors import InputError
from understudy.surrogate.baselines import fit_baselines
from understudy.surrogate.comparison import judge_coverage, paired_difference, resampled_weights
from understudy.surrogate.config import Evaluation
from understudy.surrogate.conformal import conformal_quantile, fit_scale, scale
from understudy.surrogate.definition import Cases
from understudy.surrogate.folds import early_stopping_cases, grouped_folds, nested_subsets, random_folds
from understudy.surrogate.network_fit import batch_size_of, learning_rate_at
from understudy.surrogate.novelty import fit_novelty, novelty_score
from understudy.surrogate.transforms import Link, fit_targets, link_forward, link_inverse


def rng(seed=0):
    return np.random.default_rng(seed)


def test_random_folds_take_each_case_once_in_equal_sizes():
    fold = random_folds(47, 10, rng())
    assert sorted(np.bincount(fold)) == [4] * 3 + [5] * 7


def test_grouped_folds_never_split_a_group_and_balance_cases():
    group = np.repeat(np.arange(12), rng(1).integers(1, 30, 12))
    fold = grouped_folds(group, 4, rng())
    assert all(len(set(fold[group == g])) == 1 for g in range(12))
    sizes = np.bincount(fold, minlength=4)
    # Greedy packing is never further off than the largest group.
    assert sizes.min() > 0 and sizes.max() - sizes.min() <= np.bincount(group).max()


def test_more_folds_than_groups_is_refused_by_name():
    with pytest.raises(InputError, match=r"surrogate.cross_validation.folds: found 4, accepted is at most 3"):
        grouped_folds(np.array([0, 1, 2, 2]), 4, rng())


def test_early_stopping_takes_whole_groups_and_leaves_some():
    group = np.repeat(np.arange(20), 3)
    stopping = early_stopping_cases(group, 0.15, rng())
    assert len(set(group[stopping])) == 3 and not set(group[stopping]) & set(group[~stopping])
    assert early_stopping_cases(np.array([0, 0, 1]), 0.4, rng()).any()
    with pytest.raises(InputError, match="at least 2"):
        early_stopping_cases(np.zeros(5), 0.2, rng())


def test_subsets_are_nested_and_large_sizes_left_out():
    subsets = nested_subsets(100, (10, 50, 100, 200), rng())
    assert list(subsets) == [10, 50, 100]
    assert set(subsets[10]) < set(subsets[50]) < set(subsets[100])


@pytest.mark.parametrize("link", [Link("identity"), Link("logit", 0.01, (0, 1)), Link("asinh", 0.02, (0, np.inf))])
def test_links_are_inverted_and_monotone(link):
    values = np.linspace(0, 1, 101)
    there = link_forward(link, values)
    # Rounding of log and tanh at the ends of the logit.
    np.testing.assert_allclose(link_inverse(link, there), values, atol=1e-12)
    assert (np.diff(there) > 0).all()


def test_inverse_stays_possible_and_finite_for_wild_values():
    transform = fit_targets([Link("logit", 0.01, (0, 1)), Link("asinh", 0.02, (0, np.inf))], rng().random((50, 2)))
    back = transform.inverse(np.array([[-1e4, -1e4], [1e4, 1e4]]))
    assert np.isfinite(back).all() and back[0].tolist() == [0, 0] and back[1, 0] == 1


def test_constant_target_keeps_unit_deviation():
    assert fit_targets([Link("identity")], np.full((5, 1), 3.0)).deviation.tolist() == [1.0]


def test_conformal_quantile_is_the_order_statistic():
    scores = np.arange(1.0, 101.0)[:, None]
    # ceil(101 * 0.9) = 91st smallest.
    assert conformal_quantile(scores, 0.9).tolist() == [91.0]
    assert np.isinf(conformal_quantile(scores[:5], 0.9)).all()


def test_conformal_intervals_cover_and_narrow_where_errors_differ():
    generator = rng(3)

    def draw(n):
        mean = generator.normal(size=(n, 1))
        spread = np.exp(mean) * generator.uniform(0.5, 1.5, (n, 1))
        residual = generator.normal(size=(n, 1)) * np.exp(mean)
        return residual, mean, spread, np.ones(n)

    model = fit_scale(*draw(300))
    residual, *described = draw(2000)
    adaptive = conformal_quantile(np.abs(residual) / scale(model, *described), 0.9)
    plain = conformal_quantile(np.abs(residual), 0.9)
    residual, *described = draw(4000)
    half = scale(model, *described) * adaptive
    # Four standard errors of a share of 0.9 in 4,000 and in the 2,000 that set the quantile.
    assert abs(np.mean(np.abs(residual) <= half) - 0.9) < 4 * np.sqrt(0.09 / 4000 + 0.09 / 2000)
    assert half.mean() < 0.85 * plain[0]


def test_scale_is_constant_with_few_cases():
    residual = rng().normal(size=(10, 2))
    model = fit_scale(residual, residual, np.abs(residual), np.ones(10))
    values = scale(model, residual, np.abs(residual), np.ones(10))
    assert np.ptp(values, axis=0).tolist() == [0, 0]


def test_novelty_is_the_distance_to_the_nearest_training_case():
    generator = rng(5)
    train = generator.normal(size=(300, 1, 6)).astype(np.float32)
    new = generator.normal(size=(20, 1, 6)).astype(np.float32) * 3
    empty, empty_new = np.empty((300, 0)), np.empty((20, 0))
    novelty = fit_novelty(train, empty)
    direct = np.sqrt(((new[:, None, 0] - train[None, :, 0]) ** 2).sum(2).min(1) / 6)
    # All six components are kept here, so only float32 rounding is left.
    np.testing.assert_allclose(novelty_score(novelty, new, empty_new), direct, rtol=1e-3)
    assert novelty_score(novelty, train, empty).max() < 2e-3


def test_novelty_sees_what_no_component_holds():
    generator = rng(6)
    line = generator.normal(size=(200, 1, 1)) * np.ones((1, 1, 8))
    novelty = fit_novelty(line.astype(np.float32), np.empty((200, 0)))
    assert len(novelty.components) == 1
    odd = np.zeros((1, 1, 8), dtype=np.float32)
    odd[0, 0, ::2], odd[0, 0, 1::2] = 1, -1
    assert novelty_score(novelty, odd, np.empty((1, 0)))[0] == pytest.approx(1, rel=0.05)


def test_paired_difference_finds_the_better_model_and_admits_a_draw():
    generator = rng(7)
    group = np.repeat(np.arange(8), 50)
    truth = generator.normal(size=400)
    good, bad = truth + 0.1 * generator.normal(size=400), truth + 0.3 * generator.normal(size=400)
    weights = resampled_weights(group, 500, rng())
    found = paired_difference(truth, good, bad, group, weights)
    span = np.ptp(truth)
    rmse = [np.sqrt(np.mean((model - truth) ** 2)) for model in (good, bad)]
    assert found["difference_nrmse"] == pytest.approx((rmse[0] - rmse[1]) / span)
    assert found["low"] < found["difference_nrmse"] < found["high"] < 0 and found["verdict"] == "network better"
    assert paired_difference(truth, bad, good, group, weights)["verdict"] == "baseline better"
    # Each is the better one in every second group, by the same errors.
    even = group % 2 == 0
    one, other = np.where(even, good, bad), np.where(even, bad, good)
    assert paired_difference(truth, one, other, group, weights)["verdict"] == "no difference"


def test_bootstrap_over_groups_is_wider_than_over_cases():
    generator = rng(8)
    group = np.repeat(np.arange(6), 200)
    inside = generator.random(1200) < np.repeat([0.7, 0.8, 0.9, 0.95, 1.0, 1.0], 200)
    by_group = judge_coverage(inside, group, resampled_weights(group, 500, rng()), 0.9)
    case = np.arange(1200)
    by_case = judge_coverage(inside, case, resampled_weights(case, 500, rng()), 0.9)
    assert by_group["high"] - by_group["low"] > 2 * (by_case["high"] - by_case["low"])


@pytest.mark.parametrize(
    ("n", "groups", "share", "passed"),
    [(1200, 6, 0.9, True), (1200, 6, 0.7, False), (900, 6, 0.9, None), (1200, 4, 0.9, None)],
)
def test_coverage_is_judged_only_on_enough_cases_and_groups(n, groups, share, passed):
    group = np.arange(n) % groups
    inside = np.arange(n) < share * n
    found = judge_coverage(inside, group, resampled_weights(group, 300, rng()), 0.9)
    assert found["passed"] is passed
    assert (passed is None) == found["reason"].startswith("not judged")


def test_small_sets_get_small_batches_and_the_schedule_ends_at_zero():
    assert [batch_size_of(n, 64) for n in (5, 40, 200, 4000)] == [5, 8, 25, 64]
    rates = [learning_rate_at(step, 100, 1e-3) for step in range(100)]
    assert max(rates) == pytest.approx(1e-3) and rates[0] < 1e-3 and rates[-1] < 1e-6


def test_baselines_mean_the_same_without_their_scales():
    inputs, targets, group = toy_cases(4, 20, 3)
    cases = Cases(inputs, np.empty((80, 0)), targets, group, np.arange(80))
    fitted = fit_baselines(TOY, cases, ["peak_response", "failed_share"], Evaluation(), np.random.default_rng(1))
    for name, baseline in fitted.items():
        mean, scales = baseline.links(cases.inputs, cases.context)
        alone, ones = baseline.links(cases.inputs, cases.context, scales=False)
        np.testing.assert_array_equal(alone, mean)
        assert (ones == 1).all() and (scales.shape == (80, 2)) == (name == "gaussian_process")
