"""Draw the axon study's figures and write what the report says about it.

Files that a run has not may be left out: their figures become a line that says so, and the page does too.
"""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from understudy.anatomy import load_template
from understudy.axon import comparison_figures, error_figures, figures, map_figures
from understudy.axon.axon_mechanics import TARGETS
from understudy.axon.comparisons import LAYOUT_MEANS
from understudy.axon.config import Injury
from understudy.axon.files import open_strain, read_injury_map, read_orientation, read_voxel_maps
from understudy.axon.presentation import lead_times, presentation
from understudy.axon.study_sections import BASELINE_NAMES, CRITERION_NAMES, headline_first
from understudy.dataset import open_ground_truth
from understudy.errors import InputError
from understudy.provenance.arguments import main, parser
from understudy.provenance.job import job
from understudy.report.results import read_json
from understudy.report.sheets import Sheets

# Example histories per role.
EXAMPLES = 5
# Tracts whose distributions are shown.
LARGEST_TRACTS = 20
REQUIRED = ("strain", "field", "dataset", "injury_map", "checks", "metrics", "floor")
# Argument -> name of its content for the page.
JSON_FILES = {
    "metrics": "metrics",
    "floor": "floor",
    "white_matter_cost": "cost",
    "white_matter_errors": "errors",
    "deployment": "deployment",
    "sensitivity": "sensitivity",
    "criteria": "criteria",
    "sex_comparison": "sexes",
    "sampling_comparison": "sampling",
}
OPTIONAL = ("white_matter", "sex_maps", *(name for name in JSON_FILES if name not in REQUIRED))
MEANS = dict(zip(LAYOUT_MEANS, figures.LABELS.values(), strict=True))


def draw_impacts(sheets: Sheets, strain: Any) -> np.ndarray:
    """The pulses; returns the times of the samples."""
    time_ms = np.arange(strain.strain.shape[2]) * strain.sample_ms
    if path := sheets.path("impacts"):
        figures.pulses(path, time_ms, strain.angular_velocity, strain.role)
    return time_ms


def draw_histories(
    sheets: Sheets, time_ms: np.ndarray, inputs: np.ndarray, split: np.ndarray, subset: np.ndarray
) -> None:
    """Example histories, spread over the severities of each set."""
    examples, names = [], []
    for name, wanted in (
        ("training", split == "training"),
        ("held out, random", (split == "heldout") & (subset == "random")),
        ("held out, worst case", (split == "heldout") & (subset == "worst_case")),
    ):
        order = np.flatnonzero(wanted)[np.argsort(inputs[wanted].max(axis=1))]
        picks = order[np.linspace(0, len(order) - 1, min(EXAMPLES, len(order))).astype(int)]
        examples.extend(inputs[picks])
        names.extend([name] * len(picks))
    if path := sheets.path("histories"):
        figures.histories(path, time_ms, np.array(examples), names)


def draw_model(sheets: Sheets, targets: np.ndarray, rate: Mapping[str, Any]) -> None:
    """What the gap layout and the rate of loading change."""
    count, labels = len(TARGETS), list(figures.LABELS.values())
    if path := sheets.path("layout_spread"):
        figures.layout_spread(path, targets[:, count : 2 * count], targets[:, 2 * count :], labels)
    if path := sheets.path("rate_dependence"):
        outputs = {
            f"{CRITERION_NAMES.get(criterion, criterion)} criterion": np.array(values)
            for criterion, values in rate["outputs"].items()
        }
        figures.rate_dependence(path, np.array(rate["rate_per_s"]), outputs, labels, rate["peak_strain"])


def draw_maps(
    sheets: Sheets, arguments: Namespace, white_matter: Any, injury_map: Any, results: Mapping[str, Any]
) -> None:
    """White-matter maps: the surrogate's, those of direct simulation beside it, and those of the sexes."""
    t1, t1_affine = load_template("t1")
    place = (white_matter.index, white_matter.shape, white_matter.affine, white_matter.centre_mm, t1, t1_affine)
    predicted = dict(zip(injury_map.targets, injury_map.mean.T, strict=True))
    means = {label: predicted[target] for target, label in MEANS.items()}
    planes = map_figures.representative_planes(list(means.values()), white_matter.centre_mm)
    if path := sheets.path("injury_maps"):
        map_figures.injury_maps(path, means, *place, planes_mm=planes)
    if arguments.white_matter is not None:
        direct = checked_maps(arguments.white_matter, injury_map.impact, len(injury_map.mean))
        pair = [{label: maps[target] for target, label in figures.LABELS.items()} for maps in (direct, predicted)]
        if path := sheets.path("lead"):
            times = lead_times(results["cost"], results["deployment"])
            map_figures.direct_and_surrogate_maps(path, *pair, *place, planes_mm=planes, times=times)
        if results["errors"] and (path := sheets.path("error_by_voxel")):
            errors = {label: results["errors"]["targets"][target] for target, label in figures.LABELS.items()}
            error_figures.direct_against_surrogate(path, *pair, errors)
    if arguments.sex_maps is not None and (path := sheets.path("sex_maps")):
        maps = checked_maps(arguments.sex_maps, injury_map.impact, len(injury_map.mean))
        male, female = (
            {label: maps[f"{sex}/{target}"] for target, label in MEANS.items()} for sex in ("male", "female")
        )
        map_figures.sex_maps(path, male, female, *place, planes_mm=planes)


def checked_maps(path: Path, impact: int, voxels: int) -> Mapping[str, np.ndarray]:
    """Maps of the impact and the voxels of the injury map."""
    maps = read_voxel_maps(path)
    found = {len(values) for values in maps.values.values()}
    if maps.impact != impact or found != {voxels}:
        raise InputError(
            f"{path}: found impact {maps.impact} and {', '.join(map(str, sorted(found)))} voxels; accepted are impact "
            f"{impact} and {voxels} voxels, those of the injury map"
        )
    return maps.values


def draw_errors(sheets: Sheets, results: Mapping[str, Any]) -> None:
    """What the network leaves unexplained, and its error where the truth is known everywhere."""
    metrics = results["metrics"]
    groups = (("Reference gap layout", ""), ("Mean over gap layouts", "_mean"))
    targets = [f"{output}{ending}" for _, ending in groups for output in TARGETS]
    if path := sheets.path("history_gain"):
        models = {
            "network": metrics["targets"],
            **{BASELINE_NAMES.get(k, k): v for k, v in metrics["baselines"].items()},
        }
        error_figures.unexplained_variance(
            path,
            list(figures.LABELS.values()) * len(groups),
            {name: [(errors.get(target) or {}).get("r2") for target in targets] for name, errors in models.items()},
            "network",
            [(metrics["noise_floor"].get(target) or {}).get("r2") for target in targets],
            [(title, len(TARGETS)) for title, _ in groups],
        )
    errors = results["errors"]
    if errors and (path := sheets.path("error_by_strain")):
        error_figures.error_by_strain(path, errors["by_strain"], figures.LABELS)
    if errors and errors["by_tract"] and (path := sheets.path("error_by_tract")):
        error_figures.error_by_tract(path, errors["by_tract"], figures.NAMES)


def draw_comparisons(sheets: Sheets, results: Mapping[str, Any]) -> None:
    """Ways of sampling, tau criteria, and sexes by tract."""
    sampling, criteria, sexes = (results[name] for name in ("sampling", "criteria", "sexes"))
    if sampling and (path := sheets.path("sampling_efficiency")):
        comparison_figures.sampling_efficiency(path, sampling["ways"], figures.LABELS)
    if criteria and (path := sheets.path("criteria")):
        named = {CRITERION_NAMES.get(name, name): criteria["criteria"][name] for name in headline_first(criteria)}
        parts = (("Reference gap layout", list(TARGETS)), ("Mean over gap layouts", list(MEANS)))
        comparison_figures.criteria_errors(path, named, parts, figures.target_labels())
    if sexes and sexes["by_tract"] and (path := sheets.path("sexes_by_tract")):
        largest = sorted(sexes["by_tract"], key=lambda entry: -entry["n"])[:LARGEST_TRACTS]
        names = {f"{output}_mean": name for output, name in figures.NAMES.items()}
        comparison_figures.sexes_by_tract(path, largest, names)


def run(arguments: Namespace) -> None:
    pictures = {path.stem: path for path in arguments.figures}
    inputs = {name: getattr(arguments, name) for name in REQUIRED}
    inputs |= {name: path for name in OPTIONAL if (path := getattr(arguments, name)) is not None}
    with job(
        program="draw_axon",
        study="axon",
        inputs=inputs,
        outputs={"presentation": arguments.presentation, **pictures},
        code=arguments.code,
        parameters={},
        overwrite=arguments.overwrite,
    ) as this:
        sheets = Sheets(this, pictures)
        results = {
            name: None if (path := getattr(arguments, argument)) is None else read_json(path)
            for argument, name in JSON_FILES.items()
        }
        verification = read_json(arguments.checks)
        results["rate"] = verification["rate_dependence"]
        white_matter, field = read_orientation(arguments.field)
        injury_map = read_injury_map(arguments.injury_map)
        with open_ground_truth(arguments.dataset, "axon") as truth:
            rows = truth.rows()
            targets, histories = truth.targets(rows), truth.inputs(rows)[:, 0]
            split, subset = truth.split[rows], truth.subset[rows]
            attributes = dict(truth.attributes)
        count = len(TARGETS)
        claims = [entry["passed"] for entry in verification["checks"] if entry.get("part") == "published behaviour"]
        with open_strain(arguments.strain) as strain:
            time_ms = draw_impacts(sheets, strain)
            facts = {
                "impacts": {role: len(strain.impacts(role)) for role in ("training", "calibration", "heldout")},
                "voxels": len(field.direction),
                "elements": len(np.unique(strain.element)),
                "voxel_mm": white_matter.voxel_mm,
                "covered": float(field.covered.mean()),
                "field_source": field.source,
                "impact": strain.label[injury_map.impact],
                "peak_velocity": float(np.linalg.norm(strain.angular_velocity[injury_map.impact], axis=1).max()),
                "layouts": int(attributes["layouts"]),
                "spread_share": {
                    name: figures.spread_share(targets[:, count + column], targets[:, 2 * count + column])
                    for column, name in enumerate(TARGETS)
                },
                "criterion_source": Injury.model_fields["tau_criterion"].json_schema_extra["source"],
                "claims": [sum(map(bool, claims)), len(claims)],
            }
        draw_histories(sheets, time_ms, histories, split, subset)
        draw_model(sheets, targets, results["rate"])
        draw_maps(sheets, arguments, white_matter, injury_map, results)
        draw_errors(sheets, results)
        draw_comparisons(sheets, results)
        sheets.finish()
        counts = {
            name: int(((split == part) & (subset == kind)).sum())
            for name, part, kind in (
                ("training", "training", "sampled"),
                ("calibration", "calibration", "random"),
                ("random", "heldout", "random"),
                ("worst_case", "heldout", "worst_case"),
            )
        }
        content = presentation(facts, counts, attributes, results, sheets.drawn)
        text = json.dumps(content, indent=2, ensure_ascii=False, sort_keys=True, allow_nan=False)
        this.temporary("presentation").write_text(text + "\n")


if __name__ == "__main__":
    arguments = parser(__doc__)
    for name in REQUIRED:
        arguments.add_argument(f"--{name.replace('_', '-')}", type=Path, required=True)
    for name in OPTIONAL:
        arguments.add_argument(f"--{name.replace('_', '-')}", type=Path, default=None)
    arguments.add_argument("--presentation", type=Path, required=True)
    arguments.add_argument("--figures", type=Path, nargs="+", required=True)
    main(run, arguments)
