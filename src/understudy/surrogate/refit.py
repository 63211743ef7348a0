"""Networks fitted anew on other sets of cases, all by one rule, so that nothing but the cases differs.

Members draw from streams numbered by the number of cases: two sets of equal size start from the same weights. The
groups that decide when to stop are those of the full training, where a set has cases enough of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from understudy.errors import InputError
from understudy.surrogate import streams
from understudy.surrogate.config import Training
from understudy.surrogate.definition import Cases, SurrogateDefinition
from understudy.surrogate.ensemble import Ensemble, fit_ensemble, predict_links
from understudy.surrogate.folds import early_stopping_cases
from understudy.surrogate.metrics import nrmse, r2
from understudy.surrogate.progress import Progress

LEAST_SHARE = 1 / 3
"""Share of the early-stopping fraction that the full training's stopping groups must hold of a set of cases."""

_MOST_MEMBERS = 1000
_PIECE = 8192


@dataclass(frozen=True)
class Refit:
    """The rule by which every set of cases is fitted.

    Attributes
    ----------
    names : targets of the cases.
    network : settings of the study's network.
    members : networks per set of cases.
    seed : root seed.
    groups : groups of the full training, out of which those are drawn that decide when to stop.
    checkpoints : folder; None keeps none.
    """

    definition: SurrogateDefinition
    names: tuple[str, ...]
    network: Mapping[str, Any]
    training: Training
    members: int
    seed: int
    groups: np.ndarray
    device: torch.device
    progress: Progress
    checkpoints: Path | None = None

    def stopping(self, group: np.ndarray) -> np.ndarray:
        """Mask (n,) of the cases with these groups (n,) that decide when to stop.

        Where the full training's stopping groups hold too few of the cases, or all, `stopping_share` draws others: a
        way of sampling may hardly take a case from most groups, and two cases cannot tell when to stop.

        Raises
        ------
        InputError
            If the cases are of one group alone.
        """
        fraction = self.training.early_stopping_fraction
        drawn = early_stopping_cases(self.groups, fraction, self._stopping_stream())
        mask = np.isin(group, np.unique(self.groups[drawn]))
        if LEAST_SHARE * fraction <= mask.mean() < 0.5:
            return mask
        return stopping_share(group, fraction, self._stopping_stream())

    def _stopping_stream(self) -> np.random.Generator:
        return streams.stream(self.definition, self.seed, streams.EARLY_STOPPING, 0)

    def fit(self, cases: Cases, label: str) -> Ensemble:
        """An ensemble fitted on these cases; ``label`` names it in progress lines and checkpoints.

        Raises
        ------
        InputError
            If the cases are of one group alone.
        """
        return fit_ensemble(
            self.definition,
            cases,
            self.names,
            self.stopping(cases.group),
            self.network,
            self.training,
            [
                streams.stream(self.definition, self.seed, streams.REFIT_MEMBER, len(cases) * _MOST_MEMBERS + member)
                for member in range(self.members)
            ],
            self.device,
            self.progress,
            label=f"{label} member",
            checkpoints=self.checkpoints,
        )

    def predict(self, ensemble: Ensemble, inputs: np.ndarray, context: np.ndarray) -> np.ndarray:
        """Targets (n, T) of raw inputs (n, C, ...) and context (n, Cx), a piece at a time."""
        predicted = np.empty((len(inputs), len(self.names)))
        for start in range(0, len(inputs), _PIECE):
            part = slice(start, start + _PIECE)
            mean = predict_links(self.definition, ensemble, inputs[part], context[part], self.device)[0]
            predicted[part] = ensemble.target_transform.inverse(mean)
        return predicted

    def judge(self, ensemble: Ensemble, sets: Mapping[str, Cases]) -> dict[str, dict[str, dict[str, float]]]:
        """Errors of an ensemble on each set: name -> `errors`."""
        return {
            name: errors(self.names, cases.targets, self.predict(ensemble, cases.inputs, cases.context))
            for name, cases in sets.items()
        }


def stopping_share(group: np.ndarray, fraction: float, generator: np.random.Generator) -> np.ndarray:
    """Mask (n,) of the cases of whole groups that hold about ``fraction`` of the cases, whatever the groups' sizes.

    Groups come in random order; one that would bring them above 1.5 times the fraction is passed over. Should all be
    larger than that, the smallest is taken.

    Raises
    ------
    InputError
        If the cases are of one group alone.
    """
    names, sizes = np.unique(group, return_counts=True)
    if len(names) < 2:
        raise InputError(f"early stopping: found cases of {len(names)} group; accepted are at least 2")
    wanted, held, chosen = fraction * len(group), 0, []
    for index in generator.permutation(len(names)):
        if held + sizes[index] <= 1.5 * wanted:
            chosen.append(index)
            held += sizes[index]
        if held >= wanted:
            break
    return np.isin(group, names[chosen or [int(sizes.argmin())]])


def errors(names: Sequence[str], truth: np.ndarray, predicted: np.ndarray) -> dict[str, dict[str, float]]:
    """``{target: {"r2", "nrmse"}}`` of truth and prediction (n, T)."""
    return {
        name: {"r2": r2(truth[:, t], predicted[:, t]), "nrmse": nrmse(truth[:, t], predicted[:, t])}
        for t, name in enumerate(names)
    }


def paired(first: Cases, second: Cases) -> tuple[Cases, Cases]:
    """The cases whose numbers are in both, in ascending order: the same inputs with two kinds of targets.

    Raises
    ------
    InputError
        If there is none, or one has other inputs or another group here than there.
    """
    _, rows, other = np.intersect1d(first.case, second.case, assume_unique=True, return_indices=True)
    if not len(rows):
        raise InputError("paired cases: found no case number that is in both sets; accepted are sets that share cases")
    one, two = first.take(rows), second.take(other)
    different = (one.group != two.group) | (one.inputs != two.inputs).reshape(len(rows), -1).any(axis=1)
    if different.any():
        raise InputError(
            f"paired cases: found other inputs for case {one.case[different][0]} in the two sets; accepted are sets "
            "made from the same samples"
        )
    return one, two
