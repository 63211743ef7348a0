"""The ``understudy`` command for people."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import io
import json
import os
import secrets
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from understudy.errors import InputError
from understudy.planning.options import add_arguments as add_plan_arguments
from understudy.provenance.audit import audit
from understudy.provenance.crate import write_crate
from understudy.provenance.file_checks import run_tree
from understudy.provenance.findings import in_order, passed, verdict_text
from understudy.provenance.fingerprint import REPOSITORY
from understudy.provenance.pack import pack
from understudy.provenance.reference import audit_reference, publish, reference_folders, reference_tree, sound_tree
from understudy.provenance.resume import latest_run, resume
from understudy.provenance.trace import trace, trace_text


def _audit(arguments: argparse.Namespace) -> int:
    """Judge a run, or published results; nothing is made or made again."""
    if not arguments.folder.is_dir():
        raise InputError(f"{arguments.folder}: no such folder; accepted is results/<run> or results/reference")
    for option in ("replay", "seed"):
        value = getattr(arguments, option)
        if value is not None and value < 0:
            raise InputError(f"--{option}: found {value}; accepted is at least 0")
    published = reference_folders(arguments.folder)
    verdicts = {str(folder): audit_reference(folder) for folder in published}
    if not published:
        verdict = audit(arguments.folder, report=True)
        if verdict["files"] == verdict["records"] == 0 and verdict["passed"]:
            raise InputError(f"{arguments.folder}: found no results; accepted is a run that Snakemake has begun")
        verdicts = {str(arguments.folder): verdict}
    if arguments.replay:
        for folder, verdict in verdicts.items():
            _replay(Path(folder), verdict, arguments)
    if arguments.json:
        print(json.dumps(verdicts if published else verdicts[str(arguments.folder)], indent=2, sort_keys=True))
    else:
        for folder, verdict in verdicts.items():
            print(verdict_text(verdict, folder))
            for state in ("verified", "absent by design", "failed") if published else ():
                paths = [path for path, found in verdict["states"].items() if found == state]
                print(f"  {state}: {', '.join(paths) or 'none'}")
    return 0 if all(verdict["passed"] for verdict in verdicts.values()) else 1


def _trace(arguments: argparse.Namespace) -> int:
    """Print a result's ancestry as a tree: jobs, configuration keys, code, environment, down to raw data."""
    print(trace_text(trace(arguments.file), files=arguments.files))
    return 0


def _crate(arguments: argparse.Namespace) -> int:
    """Describe a run as a Workflow Run RO-Crate: ro-crate-metadata.json and the workflow, beside the results."""
    tree, _ = sound_tree(arguments.run)
    path = write_crate(tree, agent=arguments.agent)
    print(f"{path}: {len(tree.records)} jobs; the run's folder is the crate")
    return 0


def _pack(arguments: argparse.Namespace) -> int:
    """Pack a finished, clean run into one file: RO-Crate, report, numbers, models and records."""
    file = pack(
        arguments.run,
        arguments.output,
        everything=arguments.everything,
        agent=arguments.agent,
        overwrite=arguments.overwrite,
    )
    print(f"{file}: {file.stat().st_size / 1e6:.2f} MB; unpack it and judge it with: understudy audit <folder>")
    return 0


def _load_replay(study: str) -> Any:
    """The study's `understudy.farm.replay.Replay`, or None for a study that has none."""
    name = f"understudy.{study}.replay"
    return importlib.import_module(name).REPLAY if importlib.util.find_spec(name) is not None else None


def _replay(folder: Path, verdict: dict[str, Any], arguments: argparse.Namespace) -> None:
    """Add to a verdict what random cases of each study say that are computed again."""
    # Imported here: MPI and the physics take seconds to start.
    from understudy.provenance.replay import replay_study

    seed = secrets.randbits(32) if arguments.seed is None else arguments.seed
    tree = reference_tree(folder)[0] if reference_folders(folder) else run_tree(folder.resolve())[0]
    findings = verdict["findings"]
    for study in verdict["studies"]:
        findings = findings + replay_study(tree, study, _load_replay(study), arguments.replay, seed)
    verdict["findings"] = in_order(findings)
    verdict["passed"] = passed(findings)


def _rerun_case(arguments: argparse.Namespace) -> int:
    """Compute one case of a study's ground truth alone, such as one that failed: its inputs, and what comes out."""
    from understudy.provenance.replay import inputs_text, rerun_case, rerun_text
    from understudy.study import study_names

    if arguments.study not in study_names():
        raise InputError(f"study: found {arguments.study!r}; accepted are {', '.join(study_names())}")
    replay = _load_replay(arguments.study)
    if replay is None:
        raise InputError(f"study {arguments.study}: does not say how a case is computed alone")
    steps = rerun_case(arguments.run, arguments.study, replay, arguments.case, arguments.block)
    print(f"{arguments.study}, case {arguments.case}", flush=True)
    print(inputs_text(next(steps)), flush=True)
    rerun = next(steps)
    if len(rerun.together) > 1:
        print(f"computed with the {len(rerun.together) - 1} others of its block")
    print(rerun_text(rerun))
    return 0 if rerun.sound else 1


def default_model(study: str) -> Path:
    """The study's published model.

    Raises
    ------
    InputError
        If none was published.
    """
    model = REPOSITORY / "results" / "reference" / study / "surrogate" / "models.h5"
    if not model.is_file():
        raise InputError(
            f"--model: found none, and there is no published model of study {study!r} ({model}); accepted is the "
            "models.h5 of a run: --model results/<run>/<study>/surrogate/models.h5"
        )
    return model


def _predict(arguments: argparse.Namespace) -> int:
    """Predict with a trained surrogate: means, 90 % intervals, and a flag for inputs unlike the training data."""
    # Imported here: torch takes seconds to start, which the other commands need not wait for.
    from understudy.study import load_surrogate
    from understudy.surrogate.profile_files import predict_file

    definition = load_surrogate(arguments.study)
    model = arguments.model
    if model is None:
        model = default_model(arguments.study)
        print(f"model: {model} (published; --model chooses another)", file=sys.stderr)
    if arguments.field is not None:
        count, flagged = _predict_in_field(arguments, model)
        print(f"{arguments.output}: {count} predictions, {flagged} flagged as unlike the training data")
        return 0
    count, flagged = predict_file(
        definition,
        model,
        arguments.input,
        arguments.output,
        device=arguments.device,
        overwrite=arguments.overwrite,
    )
    print(f"{arguments.output}: {count} predictions, {flagged} flagged as unlike the training data")
    return 0


def _predict_in_field(arguments: argparse.Namespace, model: Path) -> tuple[int, int]:
    """Predictions of a study that samples a field of its own; the others have no such module."""
    name = f"understudy.{arguments.study}.prediction"
    if importlib.util.find_spec(name) is None:
        raise InputError(f"--field: found it for study {arguments.study}, which takes none; accepted is --input alone")
    cells = arguments.cells if arguments.cells is not None else model.parent / "cells.h5"
    return importlib.import_module(name).predict_in_field(
        model,
        cells,
        arguments.field,
        arguments.input,
        arguments.output,
        pulse=arguments.pulse,
        unit=arguments.unit,
        device=arguments.device,
        overwrite=arguments.overwrite,
    )


def _resume(arguments: argparse.Namespace) -> int:
    """Continue a run whose Snakemake was killed: end its orphans, unlock, run on with the same configuration."""
    run_folder = arguments.run if arguments.run is not None else latest_run(Path("results"))

    def tell(text: str) -> None:
        print(f"resume {run_folder}: {text}", flush=True)

    return resume(run_folder, arguments.snakemake, tell=tell)


def _publish(arguments: argparse.Namespace) -> int:
    """Keep a finished, clean run as results/reference/<study>/; without a run, write only the index of all anew."""
    # Imported here: the templates and figures of the report take a second to start.
    from understudy.report.published import write_published_index

    if (arguments.run is None) != (arguments.study is None):
        raise InputError("publish: found a run or --study alone; accepted are both, or none to write the index anew")
    if arguments.run is None:
        print(write_published_index(arguments.reference))
        return 0
    folder = publish(arguments.run, arguments.study, arguments.reference)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{folder}: {size / 1e6:.2f} MB; judge it with: understudy audit {folder}")
    print(f"{write_published_index(arguments.reference)}: the index of all published studies")
    return 0


def _configuration(arguments: argparse.Namespace) -> int:
    """Write what is generated from the configuration's models: config.yaml, reference table and JSON schema."""
    # Imported here: the other commands need no study's models.
    from understudy import settings

    stale = []
    for name, text in settings.generated_files().items():
        path = arguments.folder / name
        if path.is_file() and path.read_text() == text:
            continue
        stale.append(path)
        if not arguments.check:
            settings.write_if_different(path, text)
    for path in stale:
        print(f"{path}: {'is not what the models say' if arguments.check else 'written'}")
    return 1 if arguments.check and stale else 0


def _plan(arguments: argparse.Namespace) -> int:
    """Say what a configuration costs: core hours, memory and disk of each stage, wall time on given ranks and nodes."""
    from understudy.planning import command

    return command.run(arguments)


def _doctor(arguments: argparse.Namespace) -> int:
    """Examine this machine for a run: programs, MPI, scheduler, memory, disk, packages, folders, with advice."""
    from understudy.doctor import command

    return command.run(arguments)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    main_parser = argparse.ArgumentParser(
        prog="understudy", description="Neural understudies of biophysical simulations."
    )
    commands = main_parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, function) -> argparse.ArgumentParser:  # type: ignore[no-untyped-def]
        text = " ".join(function.__doc__.split())
        # argparse takes a per cent sign in help, but not in a description, for a format.
        made = commands.add_parser(name, help=text.replace("%", "%%"), description=text, allow_abbrev=False)
        made.set_defaults(function=function)
        return made

    sub = command("audit", _audit)
    sub.add_argument("folder", type=Path, help="results/<run>, or results/reference")
    sub.add_argument("--json", action="store_true", help="print the verdict as JSON")
    sub.add_argument("--replay", type=int, default=0, metavar="N", help="compute N random cases of each study again")
    sub.add_argument("--seed", type=int, help="of the draw for --replay; a new one by default")

    sub = command("rerun-case", _rerun_case)
    sub.add_argument("run", type=Path, help="results/<run>")
    sub.add_argument("study", help="such as axon")
    sub.add_argument("case", type=int, help="number of the case")
    sub.add_argument("--block", action="store_true", help="with all cases that are coupled to it, as the run did")

    sub = command("trace", _trace)
    sub.add_argument("file", type=Path, help="a result of a run, or of results/reference")
    sub.add_argument("--files", action="store_true", help="name each file of the code with its digest")

    sub = command("predict", _predict)
    sub.add_argument("study", help="study of the model, such as axon")
    sub.add_argument("--model", type=Path, help="trained surrogate, models.h5; the study's published one by default")
    sub.add_argument("--input", type=Path, required=True, help="profiles, .csv or .h5; with --field, positions, .csv")
    sub.add_argument("--field", type=Path, help="tms: electric field for the positions, .msh (SimNIBS) or .nii(.gz)")
    sub.add_argument("--unit", help="tms: unit of the field, such as V/m or V/mm; checked by its size by default")
    sub.add_argument("--pulse", default="monophasic", help="tms: name of a pulse, or a CSV file of one")
    sub.add_argument("--cells", type=Path, help="tms: cells of the model's run; its own, beside the model, by default")
    sub.add_argument("--output", type=Path, required=True, help="predictions, .csv or .h5")
    sub.add_argument("--overwrite", action="store_true", help="replace an output that exists")
    sub.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")

    sub = command("resume", _resume)
    sub.add_argument("run", type=Path, nargs="?", help="results/<run>; the one worked on last by default")
    sub.epilog = "Options after -- go to Snakemake: understudy resume results/demo -- --cores 8"

    sub = command("publish", _publish)
    sub.add_argument("run", type=Path, nargs="?", help="results/<run>, finished")
    sub.add_argument("--study", help="which of its studies")
    sub.add_argument("--reference", type=Path, default=Path("results/reference"))

    sub = command("crate", _crate)
    sub.add_argument("run", type=Path, help="results/<run>, clean")
    sub.add_argument("--agent", help="name of the person who ran it, which no record tells")

    sub = command("pack", _pack)
    sub.add_argument("run", type=Path, help="results/<run>, finished and clean")
    sub.add_argument("--output", type=Path, help="file to write; results/<run>.tar.gz by default")
    sub.add_argument("--everything", action="store_true", help="leave nothing out: ground truth and maps too")
    sub.add_argument("--agent", help="name of the person who ran it, which no record tells")
    sub.add_argument("--overwrite", action="store_true", help="replace a file that exists")

    sub = command("plan", _plan)
    add_plan_arguments(sub)

    sub = command("doctor", _doctor)
    sub.add_argument("configuration", type=Path, nargs="?", help="as for --configfile; the published scale without")
    sub.add_argument("--profile", type=Path, help="Snakemake profile of the run, such as profiles/slurm")
    sub.add_argument("--json", action="store_true", help="print the findings as JSON")

    sub = command("configuration", _configuration)
    sub.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file is out of step")
    sub.add_argument("--folder", type=Path, default=REPOSITORY, help="the repository")
    return main_parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; exit status 1 for a verdict that is not clean, 2 for a mistake of the caller."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A file's name may hold bytes that are no text.
        sys.stdout.reconfigure(errors="backslashreplace")
    words = list(sys.argv[1:] if arguments is None else arguments)
    split = words.index("--") if "--" in words else len(words)
    command_line = parser()
    parsed = command_line.parse_args(words[:split])
    parsed.snakemake = words[split + 1 :]
    if parsed.snakemake and parsed.function is not _resume:
        command_line.error("only resume takes options after --")
    try:
        status = parsed.function(parsed)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (head, less) has seen enough. What Python still holds must not be written at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 128 + signal.SIGPIPE
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        status = 2
    sys.exit(status)
