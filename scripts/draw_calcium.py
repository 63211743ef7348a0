"""Draw the calcium study's figures and write what the report says about it.

Files that a run has not may be left out: their figures become a line that says so, and the page does too.
"""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from understudy.calcium import channel_figures, hybrid_figures, map_figures, verification_figures, wave_figures
from understudy.calcium.figure_files import ATTRIBUTES, course_counts, part, read_parts
from understudy.calcium.goals import STEPS
from understudy.calcium.presentation import presentation
from understudy.dataset import open_ground_truth
from understudy.provenance.arguments import main, parser
from understudy.provenance.job import job
from understudy.report.results import read_json
from understudy.report.sheets import Sheets
from understudy.report.wording import inside
from understudy.surrogate.json_file import finite

REQUIRED = ("dataset", "metrics")
ARRAYS = ("courses", "waves", "clamps", "designed", "map")
# Argument -> name of its content for the page.
JSON_FILES = {
    "metrics": "metrics",
    "floor": "floor",
    "training": "training",
    "hybrid": "hybrid",
    "channels": "channels",
    "design": "design",
    "deployment": "deployment",
    "checks": "verification",
}
OPTIONAL = (*ARRAYS, *(name for name in JSON_FILES if name not in REQUIRED))


def speeds_by_step(hybrid: Mapping[str, Any] | None) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Channel -> time steps in s and errors of speed, of the channels that have been run at several steps."""
    found = {}
    for name, entry in (inside(hybrid, "channels") or {}).items():
        if steps := inside(entry, "steps", "step_s"):
            found[name] = np.array(steps), hybrid_figures.numbers(entry["steps"]["error"])
    return found


def map_facts(found: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the page says of the map: its channel, and its speeds against those of the equations on the subset."""
    if found is None:
        return {}
    facts: dict[str, Any] = {"channel": found[ATTRIBUTES].get("channel")}
    own = part(found, "equations")
    if own is not None and "speed_um_per_s" in own:
        expected, hybrid = own["speed_um_per_s"], found["speed_um_per_s"][own["density"], own["radius"]]
        both = (expected > 0) & (hybrid > 0)
        errors = np.abs(hybrid[both] / expected[both] - 1)
        facts |= {
            "subset": len(expected),
            "disagree": int(((expected > 0) != (hybrid > 0)).sum()),
            "speed_median": float(np.median(errors)) if errors.size else None,
            "speed_max": float(errors.max()) if errors.size else None,
        }
    return facts


def draw(sheets: Sheets, arrays: Mapping[str, Any], results: Mapping[str, Any]) -> None:
    """All figures that were asked for and that the run has the data of."""
    front, clamps, heldout, threshold = (
        part(arrays["waves"], name) for name in ("front", "clamps", "heldout", "threshold")
    )
    members, spikes, observed = (part(arrays["clamps"], name) for name in ("members", "spikes", "observations"))
    channels = inside(results["hybrid"], "channels") or {}
    knobs, inverse = (inside(results["design"], name) or [] for name in ("knobs", "inverse"))
    benchmarks = inside(results["verification"], "benchmarks") or {}
    judged = inside(results["channels"], "members") or []
    figures: dict[str, Callable[[Path], bool]] = {
        "lead": lambda path: wave_figures.lead(path, front or {}, speeds_by_step(results["hybrid"]), STEPS[1]),
        "waves": lambda path: wave_figures.waves(path, front or {}),
        "traces": lambda path: wave_figures.traces(path, front or {}),
        "open_probability": lambda path: wave_figures.open_probability(path, front or {}),
        "clamps": lambda path: hybrid_figures.clamps(path, clamps or {}),
        "steps": lambda path: hybrid_figures.steps(path, channels),
        "heldout": lambda path: hybrid_figures.heldout(path, heldout or {}),
        "thresholds": lambda path: hybrid_figures.thresholds(path, channels, threshold),
        "recovery": lambda path: hybrid_figures.recovery(path, channels),
        "channels": lambda path: channel_figures.channels(path, members or {}, judged),
        "spikes": lambda path: channel_figures.spikes(path, spikes or {}),
        "observations": lambda path: channel_figures.observations(path, observed or {}),
        "knobs": lambda path: channel_figures.knobs(path, knobs, part(arrays["designed"], "waves")),
        "design": lambda path: channel_figures.design(path, inverse),
        "validity": lambda path: verification_figures.validity(path, benchmarks),
        "convergence": lambda path: verification_figures.convergence(path, benchmarks),
        "map": lambda path: map_figures.wave_map(path, arrays["map"] or {}),
    }
    for name, drawn in figures.items():
        if (path := sheets.path(name)) and not drawn(path):
            sheets.not_drawn(name)


def run(arguments: Namespace) -> None:
    pictures = {path.stem: path for path in arguments.figures}
    inputs = {name: getattr(arguments, name) for name in REQUIRED}
    inputs |= {name: path for name in OPTIONAL if (path := getattr(arguments, name)) is not None}
    with job(
        program="draw_calcium",
        study="calcium",
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
        arrays = {name: None if (path := getattr(arguments, name)) is None else read_parts(path) for name in ARRAYS}
        results["map"] = map_facts(arrays["map"])
        with open_ground_truth(arguments.dataset, "calcium") as truth:
            noise = truth.attributes.get("noise", inside(results["floor"], "noise"))
        facts = {"courses": course_counts(arrays["courses"] or {}), "noise": noise}
        draw(sheets, arrays, results)
        sheets.finish()
        content = finite(presentation(facts, results, sheets.drawn))
        text = json.dumps(content, indent=2, ensure_ascii=False, sort_keys=True, allow_nan=False)
        this.temporary("presentation").write_text(text + "\n")


if __name__ == "__main__":
    arguments = parser(__doc__)
    for name in REQUIRED:
        arguments.add_argument(f"--{name}", type=Path, required=True)
    for name in OPTIONAL:
        arguments.add_argument(f"--{name}", type=Path, default=None)
    arguments.add_argument("--presentation", type=Path, required=True)
    arguments.add_argument("--figures", type=Path, nargs="+", required=True)
    main(run, arguments)
