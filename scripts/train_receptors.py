"""Train rate networks of ryanodine receptors on courses under MPI: 4, 5 and 6 unknowns, and the negative control."""

from __future__ import annotations

import json
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np

from understudy.calcium.farmed_cases import STUDY_NUMBER, below, farm_each, numbers_below
from understudy.calcium.files import read_courses, watched_arrays, write_networks
from understudy.calcium.hybrid_study import WAVES_ONLY, network_name
from understudy.calcium.parameters import Parameters
from understudy.calcium.rate_network import RateNetwork
from understudy.calcium.rate_training import Schedule, course_errors, receptor_form, train_rates, training_domain
from understudy.calcium.receptor_protocols import Courses
from understudy.calcium.surrogate import SURROGATE, rate_network_of
from understudy.farm.seeds import case_sequence
from understudy.farm.stage import farmed_job
from understudy.provenance.arguments import main, parser
from understudy.settings import read_stage
from understudy.surrogate.model_file import read_model

# Number of this stage in spawn keys.
_STAGE = 4
UNKNOWNS = (4, 5, 6)


def shared_network(path: Path) -> RateNetwork:
    """The first member of the shared machine's ensemble."""
    ensemble = read_model(path, SURROGATE).ensemble
    return rate_network_of(ensemble.members[0].weights, ensemble.target_transform, ensemble.network)


def wave_family(courses: Courses) -> Courses:
    """What the negative control learns from: single waves, none near the stimulus."""
    return courses.take(np.flatnonzero(courses.family == "wave"))


def summary(name: str, unknowns: int, seed: int, values: dict[str, np.ndarray]) -> dict[str, Any]:
    """A network's entry in ``training.json``."""
    losses = numbers_below(values, "losses")
    return {
        "name": name,
        "unknowns": unknowns,
        "seed": seed,
        "weights": int(values["weights"]),
        "seconds": float(values["seconds"]),
        "families": "waves" if name == WAVES_ONLY else "all",
        "loss": losses.get("polish", losses["courses"]),
        "losses": losses,
        "errors": numbers_below(values, "errors"),
    }


def run(arguments: Namespace) -> None:
    stage = read_stage(arguments.config)
    settings, network = stage["receptors"], stage["network"]
    schedule = Schedule(
        samples=settings["samples"],
        rate_iterations=settings["rate_iterations"],
        windows=settings["windows"],
        steps=settings["window_steps"],
        course_iterations=settings["course_iterations"],
        polish_iterations=settings["polish_iterations"],
    )
    with farmed_job(
        arguments.ranks,
        program="train_receptors",
        study="calcium",
        inputs={name: getattr(arguments, name) for name in ("config", "courses", "models")},
        outputs={name: getattr(arguments, name) for name in ("networks", "training")},
        code=arguments.code,
        parameters=stage,
        seed=stage["seed"],
        overwrite=arguments.overwrite,
    ) as this:
        courses = read_courses(arguments.courses)
        plan = [
            (network_name(unknowns, seed), unknowns, seed) for unknowns in UNKNOWNS for seed in range(settings["seeds"])
        ]
        plan.append((WAVES_ONLY, 4, 0))
        seen = {name: courses["training"] for name, _, _ in plan} | {WAVES_ONLY: wave_family(courses["training"])}

        def train(case: int) -> dict[str, Any]:
            name, unknowns, seed = plan[case]
            form, losses = receptor_form(unknowns, tuple(network["hidden"])), {}
            begin = time.perf_counter()
            stream = np.random.default_rng(case_sequence(stage["seed"], STUDY_NUMBER, _STAGE, case))
            trained = train_rates(
                seen[name],
                form,
                seed=int(stream.integers(2**31)),
                schedule=schedule,
                start=shared_network(arguments.models) if unknowns == network["unknowns"] and seed == 0 else None,
                say=lambda part, loss: losses.__setitem__(f"losses/{part}", loss),
            )
            errors = course_errors(trained, courses["heldout"], Parameters())
            return {
                **{f"arrays/{key}": value for key, value in watched_arrays(
                    trained, training_domain(trained, seen[name], Parameters())
                ).items()},
                **losses,
                **{f"errors/{family}": error for family, error in errors.items()},
                "weights": form.n_weights,
                "seconds": time.perf_counter() - begin,
            }  # fmt: skip

        found = farm_each(
            this,
            [name for name, _, _ in plan],
            train,
            label="receptors",
            costs=[unknowns for _, unknowns, _ in plan],
            recompute=arguments.recompute,
        )
        if this.job is not None:
            networks, entries = {}, []
            for (name, unknowns, seed), values in zip(plan, found, strict=True):
                networks[name] = below(values, "arrays")
                entries.append(summary(name, unknowns, seed, values))
            write_networks(this.job.temporary("networks"), networks)
            content = {"study": "calcium", "networks": entries}
            this.job.temporary("training").write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
            for entry in entries:
                error = entry["errors"]["all"]
                print(f"{entry['name']}: NRMSE of the open probability on held-out courses {error:.2%}")


if __name__ == "__main__":
    arguments = parser(__doc__, farm=True)
    for name in ("config", "courses", "models", "networks", "training"):
        arguments.add_argument(f"--{name}", type=Path, required=True)
    main(run, arguments)
