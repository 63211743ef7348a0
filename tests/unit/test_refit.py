"""Refits: who stops the training, equal starts for equal numbers, errors by set, and pairs of cases."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from toy_surrogate_study import STAGE, TOY, toy_cases

from understudy.errors import InputError
from understudy.surrogate.config import Training
from understudy.surrogate.definition import Cases
from understudy.surrogate.device import repeatable
from understudy.surrogate.metrics import nrmse, r2
from understudy.surrogate.progress import Progress
from understudy.surrogate.refit import Refit, paired, stopping_share

NAMES = ("peak_response", "failed_share")


def cases_of(groups: int, per_group: int, seed: int) -> Cases:
    inputs, targets, group = toy_cases(groups, per_group, seed)
    return Cases(inputs, np.empty((len(group), 0)), targets, group, np.arange(len(group)))


def refit_of(groups: np.ndarray, members: int = 1, epochs: int = 4) -> Refit:
    training = Training(**{**STAGE["surrogate"]["training"], "epochs": epochs, "early_stopping_fraction": 0.2})
    progress = Progress("test", members, epochs)
    return Refit(
        TOY, NAMES, STAGE["network"], training, members, STAGE["seed"], groups, torch.device("cpu"), progress, None
    )


def test_the_groups_of_the_full_training_stop_where_they_can():
    refit = refit_of(np.arange(10))
    full = refit.stopping(np.repeat(np.arange(10), 5))
    stopping = set(np.repeat(np.arange(10), 5)[full].tolist())
    assert len(stopping) == 2
    other = np.concatenate([np.repeat(np.arange(10), 3), np.repeat(np.arange(3), 4)])
    assert set(other[refit.stopping(other)].tolist()) == stopping


def test_other_groups_stop_where_those_have_hardly_a_case():
    refit = refit_of(np.arange(10))
    all_groups = np.repeat(np.arange(10), 5)
    stopping = np.unique(all_groups[refit.stopping(all_groups)])
    rest = np.setdiff1d(np.arange(10), stopping)
    for group in (np.repeat(rest, 10), np.append(np.repeat(rest, 10), stopping[0]), np.repeat(stopping, 10)):
        mask = refit.stopping(group)
        assert 0 < mask.sum() < len(group)
        assert not set(group[mask].tolist()) & set(group[~mask].tolist())
    # One case of 81 is no judge of when to stop; the fraction is a fifth.
    mask = refit.stopping(np.append(np.repeat(rest, 10), stopping[0]))
    assert 0.1 <= mask.mean() <= 0.3


def test_a_share_of_cases_in_whole_groups_of_any_size():
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(12), [200, 90, 40, 20, 15, 10, 8, 6, 4, 3, 2, 1])
    for seed in range(20):
        mask = stopping_share(group, 0.15, np.random.default_rng(seed))
        assert 0 < mask.sum() <= 1.5 * 0.15 * len(group)
        assert not set(group[mask].tolist()) & set(group[~mask].tolist())
    assert stopping_share(np.repeat([4, 7], [30, 20]), 0.15, rng).sum() == 20
    with pytest.raises(InputError, match="1 group"):
        stopping_share(np.zeros(5), 0.15, rng)


def test_equal_numbers_start_from_equal_weights_and_others_do_not():
    # Without learning, the fitted weights are those of the start.
    refit = refit_of(np.arange(6), members=2)
    refit = replace(refit, training=refit.training.model_copy(update={"learning_rate": 1e-12}))
    one, other = cases_of(6, 20, seed=1), cases_of(6, 20, seed=2)
    with repeatable(1):
        fitted = [refit.fit(cases, "fit") for cases in (one, other, one.take(np.arange(1, 120)))]
    weights = [[member.weights["stage.0.weight"] for member in ensemble.members] for ensemble in fitted]
    assert np.allclose(weights[0], weights[1], atol=1e-9)
    assert not np.allclose(weights[0][0], weights[0][1], atol=1e-3), "members differ"
    assert not np.allclose(weights[0][0], weights[2][0], atol=1e-3)


def test_a_fit_is_repeatable():
    cases = cases_of(6, 20, seed=1)
    refit = refit_of(np.arange(6))
    with repeatable(1):
        one, again = (refit.fit(cases, label).members[0].weights for label in ("one", "again"))
    assert all(np.array_equal(one[name], again[name]) for name in one)


def test_errors_are_those_of_each_set_alone():
    cases, held = cases_of(6, 30, seed=2), cases_of(3, 20, seed=3)
    refit = refit_of(np.arange(6), epochs=12)
    with repeatable(1):
        ensemble = refit.fit(cases, "fit")
        judged = refit.judge(ensemble, {"all": held, "first": held.take(np.arange(20))})
        predicted = refit.predict(ensemble, held.inputs, held.context)
    assert set(judged) == {"all", "first"} and set(judged["all"]) == set(NAMES)
    for name, rows in (("all", slice(None)), ("first", slice(0, 20))):
        for t, target in enumerate(NAMES):
            truth, mean = held.targets[rows, t], predicted[rows, t]
            assert judged[name][target] == {
                "r2": pytest.approx(r2(truth, mean)),
                "nrmse": pytest.approx(nrmse(truth, mean)),
            }
    assert judged["all"]["peak_response"]["r2"] > 0.3, "it learned something"


def test_pairs_are_the_common_cases_in_the_same_order():
    cases = cases_of(4, 10, seed=4)
    other = Cases(cases.inputs, cases.context, 2 * cases.targets, cases.group, cases.case)
    first, second = paired(cases.take(np.arange(5, 40)), other.take(np.arange(20)[::-1]))
    assert first.case.tolist() == second.case.tolist() == list(range(5, 20))
    assert np.array_equal(2 * first.targets, second.targets)


@pytest.mark.parametrize("what", ["inputs", "group"])
def test_pairs_of_other_samples_are_refused(what):
    cases = cases_of(4, 10, seed=4)
    values = {name: getattr(cases, name).copy() for name in ("inputs", "context", "targets", "group", "case")}
    values[what][7] += 1
    with pytest.raises(InputError, match="case 7"):
        paired(cases, Cases(**values))
    with pytest.raises(InputError, match="no case number"):
        paired(cases.take(np.arange(5)), cases.take(np.arange(5, 9)))
