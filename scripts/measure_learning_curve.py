"""Measure a surrogate's held-out error against the number of training cases, beside the baselines."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from understudy.provenance.arguments import main, parser
from understudy.study import load_surrogate
from understudy.surrogate.learning_curve import measure_learning_curve
from understudy.surrogate.stage import fit_stage


def run(arguments: Namespace) -> None:
    fit_stage(
        "measure_learning_curve", load_surrogate(arguments.study), arguments, arguments.curve, measure_learning_curve
    )


if __name__ == "__main__":
    arguments = parser(__doc__, surrogate=True)
    arguments.add_argument("--config", type=Path, required=True)
    arguments.add_argument("--dataset", type=Path, required=True)
    arguments.add_argument("--curve", type=Path, required=True)
    main(run, arguments)
