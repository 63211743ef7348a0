"""What the shared surrogate rules do: updates of networks, baselines, predictions. See `understudy.planning.work`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from understudy.planning.work import Work

# A case seen once by one network in training, and a cell of the Gaussian process's cubic cost.
_UPDATES, _GAUSSIAN = 1e6, 1e9


def updates(training: Any, cases: float, members: int | None = None) -> float:
    """Millions of cases seen in training: networks x epochs x cases; a fit that stops early takes less.

    Parameters
    ----------
    training : section `understudy.surrogate.config.Training`.
    cases : training cases.
    members : networks; those of the ensemble by default.
    """
    return (training.members if members is None else members) * training.epochs * cases / _UPDATES


def gaussian_work(evaluation: Any, sizes: Sequence[float]) -> float:
    """Cubic cost of the Gaussian processes fitted on these numbers of cases."""
    return sum(min(size, evaluation.gp_largest_training_set) ** 3 for size in sizes) / _GAUSSIAN


def surrogate_works(
    section: Any, ground_truth: str, floor: str, training: int, calibration: int, heldout: int
) -> list[Work]:
    """Work of the four shared rules.

    Parameters
    ----------
    section : the study's configuration.
    ground_truth, floor : rules that make the study's ground truth and its noise floor.
    training, calibration, heldout : cases of the ground truth.
    """
    own = section.surrogate
    every = training + calibration + heldout
    sizes = [size for size in own.learning_curve.sizes if size <= training]
    folds = own.cross_validation.folds
    # Folds at random and by group, each without its own part.
    folded = 2 * (folds - 1) * training
    return [
        Work(
            "train_surrogate",
            after=(ground_truth,),
            serial={"updates": updates(own.training, training), "cases": training + calibration},
            memory={"cases": every},
            disk={"networks": own.training.members},
            resumes=True,
            network=True,
        ),
        Work(
            "cross_validate_surrogate",
            after=(ground_truth,),
            serial={"updates": updates(own.training, folded, own.cross_validation.members)},
            memory={"cases": every},
            disk={"cases": training},
            resumes=True,
            network=True,
        ),
        Work(
            "measure_learning_curve",
            after=(ground_truth,),
            serial={
                "updates": updates(own.training, sum(sizes), own.learning_curve.members),
                "gaussian": gaussian_work(own.evaluation, sizes),
                "judged": len(sizes) * heldout,
            },
            memory={"cases": every, "gaussian": gaussian_work(own.evaluation, sizes[-1:]) ** (2 / 3)},
            resumes=True,
            network=True,
        ),
        Work(
            "evaluate_surrogate",
            after=("train_surrogate", "cross_validate_surrogate", "measure_learning_curve", ground_truth, floor),
            serial={"gaussian": gaussian_work(own.evaluation, [training]), "judged": heldout},
            memory={"cases": every, "gaussian": gaussian_work(own.evaluation, [training]) ** (2 / 3)},
            disk={"judged": heldout},
            network=True,
        ),
    ]
