"""One fitting stage of the surrogate machine as a job with a record."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from understudy.farm.keys import stage_key
from understudy.provenance.job import job
from understudy.settings import read_stage
from understudy.surrogate.definition import SurrogateDefinition


def fit_stage(
    program: str, definition: SurrogateDefinition, arguments: Any, output: Path, fit: Callable[..., dict[str, Any]]
) -> None:
    """Run ``fit`` on the ground truth, resumable from checkpoints that belong to this code, data and configuration.

    Parameters
    ----------
    program : name of the program and of its rule.
    definition : the study's surrogate.
    arguments : parsed command line with ``config``, ``dataset``, ``code``, ``device`` and ``overwrite``.
    output : file that ``fit`` writes.
    fit : called as ``fit(definition, dataset, stage, output=, work=, key=, device=)``; returns facts about the device.
    """
    stage = read_stage(arguments.config)
    with job(
        program=program,
        study=definition.study,
        inputs={"config": arguments.config, "dataset": arguments.dataset},
        outputs={"output": output},
        code=arguments.code,
        parameters=stage,
        seed=stage["seed"],
        overwrite=arguments.overwrite,
    ) as this:
        facts = fit(
            definition,
            arguments.dataset,
            stage,
            output=this.temporary("output"),
            work=this.work / program / definition.study,
            key=stage_key(stage, this.code, this.input_hashes, stage["seed"]),
            device=arguments.device,
        )
        this.note("device", facts)
