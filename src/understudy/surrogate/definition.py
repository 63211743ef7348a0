"""What a study hands over to the surrogate machine, and the cases that the machine works on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from understudy.dataset import GroundTruth
from understudy.errors import InputError
from understudy.surrogate.transforms import Link

State = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class SurrogateDefinition:
    """A study's network, transforms and features; ``understudy.<study>.surrogate.SURROGATE`` is one.

    Attributes
    ----------
    study : name of the study.
    study_number : the study's number in spawn keys of random streams.
    build_network : ``(channels, sample_shape, contexts, targets, settings) -> torch.nn.Module``. Channels, shape and
        contexts are those of the *transformed* inputs; the module's ``forward(inputs (B, channels, ...), context (B,
        contexts))`` gives (B, targets) standardised link values. No layer may couple the cases of a batch. A module may
        divide its ``forward`` into ``prepare(inputs)``, which depends on the settings and on no weight, and
        ``respond(prepared, context)``: the members of an ensemble then share the first part.
    fit_inputs : ``(inputs, context) -> state``, fitted on training cases alone, the arrays by name.
    apply_inputs : ``(state, inputs, context) -> (inputs, context)`` float32, case by case.
    links : target name -> `Link`; targets without one stay as they are.
    clip : target name -> (lowest, highest) possible value.
    summary_features : ``(inputs, context) -> ((N, F) float64, names)`` for gradient boosting.
    scalar_feature : ``(inputs) -> (N,)`` float64, the one number of the simplest baseline.
    scalar_name : name of that baseline.
    target_groups : heading -> target names, for people.
    """

    study: str
    study_number: int
    build_network: Callable[[int, tuple[int, ...], int, int, Mapping[str, Any]], Any]
    fit_inputs: Callable[[np.ndarray, np.ndarray], State]
    apply_inputs: Callable[[State, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
    links: Mapping[str, Link]
    clip: Mapping[str, tuple[float, float]]
    summary_features: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, list[str]]]
    scalar_feature: Callable[[np.ndarray], np.ndarray]
    scalar_name: str
    target_groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def target_links(self, names: Sequence[str]) -> tuple[Link, ...]:
        """The links of the named targets with their clip ranges."""
        links = (self.links.get(name, Link("identity")) for name in names)
        return tuple(
            link._replace(clip=self.clip.get(name, link.clip)) for name, link in zip(names, links, strict=True)
        )


@dataclass(frozen=True)
class Cases:
    """Cases in memory: inputs (N, C, ...) float32, context (N, Cx), targets (N, T), group (N,), case (N,)."""

    inputs: np.ndarray
    context: np.ndarray
    targets: np.ndarray
    group: np.ndarray
    case: np.ndarray

    def __len__(self) -> int:
        return len(self.case)

    def take(self, rows: np.ndarray) -> Cases:
        """The cases of these rows, in their order."""
        return Cases(self.inputs[rows], self.context[rows], self.targets[rows], self.group[rows], self.case[rows])


def read_cases(truth: GroundTruth, split: str, subset: str | None = None, least: int = 1) -> Cases:
    """Successful cases of a split (and subset) of a ground-truth file; no other row's values are read.

    Raises
    ------
    InputError
        If fewer than ``least`` cases are there.
    """
    rows = truth.rows(split=split, subset=subset)
    if len(rows) < least:
        where = f"split {split!r}" + (f", subset {subset!r}" if subset else "")
        raise InputError(f"{truth.path}: found {len(rows)} successful cases in {where}; accepted is at least {least}")
    return Cases(
        inputs=truth.inputs(rows),
        context=truth.context(rows),
        targets=truth.targets(rows),
        group=truth.group[rows],
        case=truth.case[rows],
    )
