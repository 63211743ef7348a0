"""Active learning: the batch rule against its definition, growth out of a pool, and what curves say about numbers."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from toy_surrogate_study import STAGE, TOY, toy_cases

from understudy.errors import InputError
from understudy.surrogate.active_learning import draw_batch, learn_actively
from understudy.surrogate.config import Training
from understudy.surrogate.definition import Cases
from understudy.surrogate.device import repeatable
from understudy.surrogate.ensemble import predict_links
from understudy.surrogate.progress import Progress
from understudy.surrogate.refit import Refit
from understudy.surrogate.sampling_efficiency import cases_for_error, cases_for_same_error

CPU = torch.device("cpu")
SIZES = (30, 45, 60)


def test_a_batch_is_drawn_with_chances_by_a_power_of_the_mean_spread():
    # Mean spreads 0.1, 0.2, 0.3, 0.4, each half in one target; squares 1, 4, 9, 16 of 30.
    spread = np.array([[0.2, 0.0], [0.0, 0.4], [0.3, 0.3], [0.8, 0.0]])
    generator = np.random.default_rng(1)
    first = [int(draw_batch(spread, 1, generator, power=2.0)[0]) for _ in range(6000)]
    shares = np.bincount(first, minlength=4) / len(first)
    # Standard deviations are at most 0.0065.
    assert shares == pytest.approx(np.array([1, 4, 9, 16]) / 30, abs=0.025)
    equal = [int(draw_batch(spread, 1, generator, power=0.0)[0]) for _ in range(6000)]
    assert np.bincount(equal, minlength=4) / len(equal) == pytest.approx(np.full(4, 0.25), abs=0.025)


def test_a_batch_takes_nobody_twice_and_may_be_everybody():
    spread = np.concatenate([np.zeros((5, 2)), np.ones((45, 2))])
    batch = draw_batch(spread, 50, np.random.default_rng(2))
    assert sorted(batch.tolist()) == list(range(50))
    assert set(batch[45:].tolist()) == set(range(5)), "where all networks agree comes last"


@pytest.fixture(scope="module")
def pool():
    inputs, targets, group = toy_cases(8, 40, seed=5)
    return inputs, targets, group


def refit_of(group: np.ndarray) -> Refit:
    training = Training(**{**STAGE["surrogate"]["training"], "epochs": 4})
    return Refit(
        definition=TOY,
        names=("peak_response", "failed_share"),
        network=STAGE["network"],
        training=training,
        members=2,
        seed=STAGE["seed"],
        groups=np.unique(group),
        device=CPU,
        progress=Progress("test", 2 * len(SIZES), training.epochs),
    )


def grow(pool, asked: list | None = None, sizes=SIZES):
    inputs, targets, group = pool
    refit = refit_of(group)

    def label(rows: np.ndarray) -> Cases:
        if asked is not None:
            asked.extend(rows.tolist())
        return Cases(inputs[rows], np.empty((len(rows), 0)), targets[rows], group[rows], rows)

    initial = np.random.default_rng(0).choice(len(inputs), sizes[0], replace=False)
    context = np.empty((len(inputs), 0))
    with repeatable(1):
        return initial, list(
            learn_actively(
                TOY,
                inputs,
                context,
                initial,
                sizes,
                label,
                lambda cases: refit.fit(cases, f"{len(cases)}"),
                CPU,
                np.random.default_rng(7),
            )
        )


def test_growth_keeps_what_it_has_and_labels_each_case_once(pool):
    asked: list[int] = []
    initial, rounds = grow(pool, asked)
    assert [len(found.rows) for found in rounds] == list(SIZES)
    assert np.array_equal(rounds[0].rows, initial)
    for before, after in pairwise(rounds):
        assert np.array_equal(after.rows[: len(before.rows)], before.rows)
    assert len(set(asked)) == len(asked) == SIZES[-1]
    last = rounds[-1]
    assert np.array_equal(last.cases.case, last.rows)
    assert np.array_equal(last.cases.targets, pool[1][last.rows])


def test_growth_to_the_whole_pool_takes_every_case_once(pool):
    asked: list[int] = []
    _, rounds = grow(pool, asked, (30, len(pool[0])))
    assert sorted(asked) == sorted(rounds[-1].rows.tolist()) == list(range(len(pool[0])))


def test_growth_is_repeatable(pool):
    first, second = grow(pool)[1], grow(pool)[1]
    assert np.array_equal(first[-1].rows, second[-1].rows)
    weights = [found[-1].ensemble.members[0].weights for found in (first, second)]
    assert all(np.array_equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_each_batch_follows_the_last_ensembles_spread(pool):
    inputs = pool[0]
    _, rounds = grow(pool)
    generator = np.random.default_rng(7)
    for before, after in pairwise(rounds):
        free = np.setdiff1d(np.arange(len(inputs)), before.rows)
        with repeatable(1):
            spread = predict_links(TOY, before.ensemble, inputs[free], np.empty((len(free), 0)), CPU)[1]
        count = len(after.rows) - len(before.rows)
        assert np.array_equal(after.rows[len(before.rows) :], free[draw_batch(spread, count, generator)])
        chosen = spread[np.isin(free, after.rows)].mean()
        assert chosen > 1.1 * spread.mean(), "batches are more uncertain than the pool"


def test_a_pool_that_is_too_small_is_refused(pool):
    inputs = pool[0]
    with pytest.raises(InputError, match="sizes up to 400"):
        next(learn_actively(TOY, inputs, np.empty((320, 0)), np.arange(30), (30, 400), None, None, CPU, None))
    with pytest.raises(InputError, match="29 initial"):
        next(learn_actively(TOY, inputs, np.empty((320, 0)), np.arange(29), (30, 40), None, None, CPU, None))


def test_cases_for_an_error_on_a_power_law():
    n = (100, 200, 400, 800)
    error = [10.0 * k**-0.5 for k in n]
    for wanted in (150, 200, 399, 800):
        assert cases_for_error(n, error, 10.0 * wanted**-0.5) == pytest.approx(wanted)
    assert cases_for_error(n, error, error[-1] * 0.999) is None
    assert cases_for_error(n, error, 2.0) == 100
    # The first crossing counts, a later rise does not undo it.
    assert cases_for_error((10, 20, 40), (4.0, 1.0, 2.0), 2.0) == pytest.approx(10 * 2**0.5)


def test_cases_for_the_same_error_are_those_of_the_yardsticks_last_point():
    n = (100, 400)
    curves = {"random": (n, (0.2, 0.1)), "better": (n, (0.1, 0.05)), "worse": (n, (0.4, 0.2)), "half": (n, (0.2, 0.05))}
    found = cases_for_same_error(curves, "random")
    assert found == {"random": pytest.approx(400), "better": 100, "worse": None, "half": pytest.approx(200)}
    assert cases_for_same_error({"random": (n, (0.2, float("nan")))}, "random") == {"random": None}
