"""Simulate courses of calcium and the receptors' answer under MPI: what networks learn from, and its noise floor."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

import numpy as np

from understudy.calcium.course_plan import SPLITS, CourseUnit, courses_by_split, rate_noise
from understudy.calcium.farmed_cases import farm_each
from understudy.calcium.farmed_courses import draw_unit, noise_stream, planned_units, split_moments
from understudy.calcium.files import write_courses
from understudy.calcium.parameters import Parameters
from understudy.calcium.receptor_protocols import FAMILIES, Courses
from understudy.calcium.surrogate import CHANNELS, TARGETS, rate_cases
from understudy.dataset import Field, write_ground_truth
from understudy.farm.stage import farmed_job
from understudy.provenance.arguments import main, parser
from understudy.settings import read_stage
from understudy.surrogate.json_file import finite

HEADLINE, PAIRED = "random", "paired_pulses"


def write_dataset(path: Path, courses: dict[str, Courses], units: list[CourseUnit], per_course: int, seed: int) -> int:
    """The ground-truth file: moments of courses; their number."""
    parts, columns = [], {"split": [], "subset": []}
    for split in SPLITS:
        own = courses[split]
        parts.append(rate_cases(own, Parameters(), split_moments(units, split, per_course, seed)))
        family = np.repeat(own.family, per_course)
        columns["split"] += [split] * len(family)
        subsets = np.where(family == "paired pulses", PAIRED, HEADLINE) if split == "heldout" else [""] * len(family)
        columns["subset"] += list(subsets)
    values = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    names = np.empty(int(values["group"].max()) + 1, dtype=object)
    for split in SPLITS:
        for group, family in zip(courses[split].group, courses[split].family, strict=True):
            names[group] = f"{split} {'wave' if 'stimulus' in family else family} {group}"
    write_ground_truth(
        path,
        study="calcium",
        **values,
        case=np.arange(len(values["group"])),
        failed=[""] * len(values["group"]),
        channels=[Field(name, "uM") for name in CHANNELS],
        target_fields=[Field(name, "ln(1/s)") for name in TARGETS],
        group_names=list(names),
        input_step=1.0,
        input_step_unit="moments",
        attributes={"per_course": per_course},
        **columns,
    )
    return len(values["group"])


def run(arguments: Namespace) -> None:
    stage = read_stage(arguments.config)
    settings, seed = stage["courses"], stage["seed"]
    with farmed_job(
        arguments.ranks,
        program="simulate_courses",
        study="calcium",
        inputs={"config": arguments.config},
        outputs={name: getattr(arguments, name) for name in ("dataset", "courses", "floor")},
        code=arguments.code,
        parameters=stage,
        seed=seed,
        overwrite=arguments.overwrite,
    ) as this:
        units = planned_units(settings)

        def simulate(number: int) -> dict[str, np.ndarray]:
            drawn = draw_unit(units, number, seed)
            family = np.array([FAMILIES.index(name) for name in drawn.family])
            return {**{name: getattr(drawn, name) for name in ("dt_s", "u_uM", "start", "group")}, "family": family}

        found = farm_each(
            this,
            [f"{unit.split}, {unit.groups} {unit.kind}" for unit in units],
            simulate,
            label="courses",
            costs=[unit.cost for unit in units],
            numbers=("dt_s", "u_uM"),
            recompute=arguments.recompute,
        )
        if this.job is not None:
            named = np.array(FAMILIES, dtype=object)
            drawn = [Courses(**{**values, "family": named[values["family"]]}) for values in found]
            courses = courses_by_split(units, drawn)
            write_courses(this.job.temporary("courses"), courses)
            count = write_dataset(this.job.temporary("dataset"), courses, units, settings["per_course"], seed)
            held = courses["heldout"].take(np.flatnonzero(courses["heldout"].family != "paired pulses"))
            floor = {
                "study": "calcium",
                "noise": settings["noise"],
                "courses": len(held),
                "targets": rate_noise(held, settings["per_course"], settings["noise"], noise_stream(seed)),
            }
            this.job.temporary("floor").write_text(
                json.dumps(finite(floor), indent=2, sort_keys=True, allow_nan=False) + "\n"
            )
            print(f"courses: {', '.join(f'{len(courses[split])} {split}' for split in SPLITS)}; {count:,} moments")


if __name__ == "__main__":
    arguments = parser(__doc__, farm=True)
    for name in ("config", "courses", "dataset", "floor"):
        arguments.add_argument(f"--{name}", type=Path, required=True)
    main(run, arguments)
