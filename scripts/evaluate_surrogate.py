"""Judge a surrogate on held-out data: errors, intervals, baselines, paired differences."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from understudy.provenance.arguments import main, parser
from understudy.provenance.job import job
from understudy.settings import read_stage
from understudy.study import load_surrogate
from understudy.surrogate.evaluation import evaluate


def run(arguments: Namespace) -> None:
    stage = read_stage(arguments.config)
    inputs = {name: getattr(arguments, name) for name in ("config", "dataset", "models", "folds", "curve", "floor")}
    with job(
        program="evaluate_surrogate",
        study=arguments.study,
        inputs=inputs,
        outputs={"predictions": arguments.predictions, "metrics": arguments.metrics},
        code=arguments.code,
        parameters=stage,
        seed=stage["seed"],
        overwrite=arguments.overwrite,
    ) as this:
        facts = evaluate(
            load_surrogate(arguments.study),
            arguments.dataset,
            stage,
            models=arguments.models,
            folds=arguments.folds,
            curve=arguments.curve,
            floor=arguments.floor,
            predictions=this.temporary("predictions"),
            metrics=this.temporary("metrics"),
            device=arguments.device,
        )
        this.note("device", facts)


if __name__ == "__main__":
    arguments = parser(__doc__, surrogate=True)
    for name in ("config", "dataset", "models", "folds", "curve", "floor", "predictions", "metrics"):
        arguments.add_argument(f"--{name}", type=Path, required=True)
    main(run, arguments)
