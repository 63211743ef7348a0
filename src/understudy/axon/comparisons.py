"""Experiments beside the main study, assembled: the two tau criteria, and both sexes in one data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from understudy.axon.axon_mechanics import TARGETS
from understudy.axon.config import Injury
from understudy.axon.tracts import Tracts
from understudy.axon.variants import variant_injury
from understudy.axon.white_matter_errors import SMALLEST_TRACT
from understudy.dataset import Field, GroundTruth, write_ground_truth
from understudy.errors import InputError

SEXES = ("male", "female")
CONTEXT = (Field("microtubules", "1"), Field("radius_nm", "nm"))

LAYOUT_MEANS = tuple(f"{name}_mean" for name in TARGETS)
"""Targets that an application uses: means over the layouts."""

SATURATED = 0.95
"""Share of the largest fraction of failed tau above which a case counts as saturated."""

EVALUATION_SETS = ("random", "worst_case")
"""Held-out sets of a ground truth on which networks are judged."""

_PERCENTILES = (5, 25, 50, 75, 95)


def check_variant(truth: GroundTruth, variant: str) -> None:
    """Refuse a file that is not of this variant of the axon (`understudy.axon.variants.VARIANTS`).

    Raises
    ------
    InputError
        If it is of another one, or of the study's own axon.
    """
    found = truth.attributes.get("variant", "none")
    if found != variant:
        raise InputError(f"{truth.path}: found variant {found!r}; accepted is {variant!r}")


def sex_context(injury: Injury, sex: str) -> np.ndarray:
    """(2,) microtubules and radius of the axon of one sex, as in `CONTEXT`."""
    if sex == "male":
        return np.array([injury.microtubules_male, injury.radius_male_nm], dtype=float)
    return np.array([injury.microtubules_female, injury.radius_female_nm], dtype=float)


def other_sex(injury: Injury) -> str:
    """The sex that the study's own axon is not."""
    return variant_injury(injury, "other_sex").sex


def case_offset(case: np.ndarray) -> int:
    """What is added to the numbers of the other sex's cases: the power of ten above all of ``case``."""
    return 10 ** len(str(int(case.max())))


def write_joint_ground_truth(path: Path, own: GroundTruth, other: GroundTruth, injury: Injury) -> int:
    """Both sexes' cases of the same samples as one data set; microtubules and radius are the context.

    Groups are impacts, so the two cases of a sample never lie on different sides of a split.

    Parameters
    ----------
    own : ground truth of the study's own axon; taken are the cases that succeeded in both.
    other : ground truth of the other sex.
    injury : parameters of the study's own axon.

    Returns
    -------
    The offset of the other sex's case numbers.

    Raises
    ------
    InputError
        If the files are not of the same samples and targets.
    """
    check_variant(other, "other_sex")
    for name in ("target_fields", "channels", "group_names", "input_step", "input_shape"):
        if getattr(own, name) != getattr(other, name):
            raise InputError(f"{other.path}: found other {name} than in {own.path}; accepted are the same")
    if not np.isin(other.case, own.case).all():
        raise InputError(
            f"{other.path}: found cases that are not in {own.path}; accepted are cases of the same samples"
        )
    own_rows, other_rows = own.rows(), other.rows()
    _, first, second = np.intersect1d(own.case[own_rows], other.case[other_rows], return_indices=True)
    offset = case_offset(own.case)
    parts = (
        (own, own_rows[first], 0, sex_context(injury, injury.sex)),
        (other, other_rows[second], offset, sex_context(injury, other_sex(injury))),
    )

    def joined(column: Callable[[GroundTruth, np.ndarray], np.ndarray]) -> np.ndarray:
        return np.concatenate([column(truth, rows) for truth, rows, _, _ in parts])

    write_ground_truth(
        path,
        study=own.study,
        inputs=joined(lambda truth, rows: truth.inputs(rows)),
        targets=joined(lambda truth, rows: truth.targets(rows)),
        context=np.concatenate([np.tile(context, (len(rows), 1)) for _, rows, _, context in parts]),
        case=np.concatenate([truth.case[rows] + shift for truth, rows, shift, _ in parts]),
        group=joined(lambda truth, rows: truth.group[rows]),
        split=joined(lambda truth, rows: truth.split[rows]),
        subset=joined(lambda truth, rows: truth.subset[rows]),
        failed=np.full(2 * len(first), ""),
        channels=own.channels,
        target_fields=own.target_fields,
        context_fields=CONTEXT,
        group_names=own.group_names,
        input_step=own.input_step,
        input_step_unit=own.input_step_unit,
        attributes={**own.attributes, "variant": "both_sexes", "other_sex_case_offset": offset},
    )
    return offset


@dataclass(frozen=True)
class RateSlopes:
    """Change of the outputs with strain rate at fixed peak strain.

    Attributes
    ----------
    peak_strain : of the stretches compared.
    lowest_per_s, highest_per_s : rates between which the slopes are means.
    slopes : target -> ``value``, mean d(output)/d(rate) in s; ``sign``, -1, 0 or 1; ``monotone``, whether the output
        changes that way between all neighbouring rates.
    """

    peak_strain: float
    lowest_per_s: float
    highest_per_s: float
    slopes: dict[str, dict[str, Any]]


def rate_slopes(verification: Mapping[str, Any], criterion: str, path: Path) -> RateSlopes:
    """Slopes under one tau criterion from the content of ``verification.json``; ``path`` is named in the error.

    Raises
    ------
    InputError
        If there are no outputs by rate.
    """
    try:
        found = verification["rate_dependence"]
        rate = np.array(found["rate_per_s"], dtype=float)
        outputs = np.array(found["outputs"][criterion], dtype=float).reshape(len(rate), len(TARGETS))
        peak = float(found["peak_strain"])
    except (KeyError, TypeError, ValueError):
        raise InputError(
            f"{path}: found no rate dependence of the {criterion} criterion; accepted is verification.json with "
            "rate_dependence.rate_per_s, peak_strain and outputs"
        ) from None
    step = np.diff(outputs, axis=0)
    slope = (outputs[-1] - outputs[0]) / (rate[-1] - rate[0])
    slopes = {
        name: {
            "value": float(slope[t]),
            "sign": int(np.sign(slope[t])),
            "monotone": bool((np.sign(step[:, t]) == np.sign(slope[t])).all()),
        }
        for t, name in enumerate(TARGETS)
    }
    return RateSlopes(peak, float(rate[0]), float(rate[-1]), slopes)


def saturated_share(tau_failed: np.ndarray, largest: float) -> float:
    """Share of cases (n,) whose fraction of failed tau exceeds `SATURATED` of the largest one."""
    return float(np.mean(tau_failed > SATURATED * largest))


def tract_distributions(
    values: Mapping[str, Mapping[str, np.ndarray]], tracts: Tracts | None
) -> list[dict[str, Any]] | None:
    """Distributions over the voxels of each tract of at least `SMALLEST_TRACT`, the largest first; None without tracts.

    Parameters
    ----------
    values : sex -> target -> (voxel,).

    Returns
    -------
    ``[{"tract", "n", sex: {target: {"p5", "p25", "p50", "p75", "p95"}}}]``.
    """
    if tracts is None:
        return None
    counts = np.bincount(tracts.number[tracts.number >= 0], minlength=len(tracts.names))
    entries = []
    for number in np.argsort(-counts, kind="stable"):
        if counts[number] < SMALLEST_TRACT:
            break
        inside = tracts.number == number
        entries.append(
            {
                "tract": tracts.names[number],
                "n": int(counts[number]),
                **{
                    sex: {name: _percentiles(column[inside]) for name, column in columns.items()}
                    for sex, columns in values.items()
                },
            }
        )
    return entries


def _percentiles(values: np.ndarray) -> dict[str, float]:
    return {f"p{p}": float(v) for p, v in zip(_PERCENTILES, np.percentile(values, _PERCENTILES), strict=True)}


def columns_of(names: Sequence[str], wanted: Sequence[str], path: Path) -> list[int]:
    """Columns of the wanted targets.

    Raises
    ------
    InputError
        If one is not there.
    """
    missing = [name for name in wanted if name not in names]
    if missing:
        raise InputError(f"{path}: found no target {', '.join(missing)}; accepted is ground truth with it")
    return [list(names).index(name) for name in wanted]
