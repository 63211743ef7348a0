"""Text that is written when the site is built: from the code (configuration, commands) and from published results.

A page says where it goes by a line ``<!-- generated: NAME [ARGUMENT] -->``; `GENERATED` holds the names. Measured
numbers come from ``results/reference/<study>``; of a study that is not published yet the page says so.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

from understudy import cli, settings
from understudy.calcium.parameters import SOURCES, Parameters
from understudy.configuration import Section, section_class
from understudy.planning.costs import TABLES, estimates
from understudy.planning.evidence import comparison, error, left_one_out
from understudy.planning.machine import Machine
from understudy.planning.measurements import kept_runs
from understudy.planning.plan import make_plan
from understudy.planning.studies import read_configuration, study_works
from understudy.provenance.findings import KINDS
from understudy.provenance.fingerprint import REPOSITORY
from understudy.report.numbers import quantity
from understudy.report.overview import read_claims
from understudy.study import load_config
from understudy.surrogate.metrics import DEFINITIONS

MARK = re.compile(r"^<!-- generated: ([a-z-]+)(?: ([a-z_]+))? -->$", re.MULTILINE)
REFERENCE = REPOSITORY / "results" / "reference"
LEAD = "assets/{}-lead.png"


def cell(text: Any) -> str:
    """Text inside a table of Markdown."""
    words = " ".join(str(text).split()).replace(" %", "\u00a0%")
    return words.replace("|", "\\|").replace("<", "&lt;")


def table(columns: list[str], rows: list[list[str]]) -> str:
    """A table of Markdown; the cells are Markdown already."""
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows]) + "\n"


def _key_rows(model: type[Section], prefix: str) -> list[list[str]]:
    """Key, default, unit, range, meaning and source of every key of a section that is no section itself."""
    rows = []
    for name, field in model.model_fields.items():
        if section_class(field.annotation) is None:
            extra = field.json_schema_extra or {}
            facts = (extra.get("unit", "-"), settings.limits(field), field.description or "", extra.get("source", ""))
            rows.append([f"`{prefix}{name}`", f"`{json.dumps(field.default)}`", *map(cell, facts)])
    return rows


def _sections(model: type[Section], prefix: str = "") -> list[tuple[str, type[Section]]]:
    """A section and all below it, with the dotted prefix of their keys."""
    found = [(prefix, model)]
    for name, field in model.model_fields.items():
        nested = section_class(field.annotation)
        if nested is not None:
            found += _sections(nested, f"{prefix}{name}.")
    return found


def configuration() -> str:
    """Every key by section: default at the published scale, unit, range, meaning and source."""
    parts = []
    for prefix, model in _sections(settings.Configuration):
        path = prefix.removesuffix(".")
        text = "Keys of the whole run." if model is settings.Configuration else (model.__doc__ or "").strip()
        parts.append(f"{'##' if '.' not in path else '###'} {f'`{path}`' if path else 'Root keys'}\n")
        parts.append(f"{text.splitlines()[0] if text else ''}\n")
        rows = _key_rows(model, prefix)
        if rows:
            parts.append(table(["key", "default", "unit", "accepted", "meaning", "source"], rows))
    return "\n".join(parts)


def parameters(study: str) -> str:
    """The keys of one study's physics and network with value, unit, meaning and source."""
    rows = [
        row
        for prefix, model in _sections(load_config(study))
        if not prefix.startswith("surrogate.")
        for row in _key_rows(model, prefix)
    ]
    return table(["key", "value", "unit", "meaning", "source"], [[*row[:3], *row[4:]] for row in rows])


def _arguments(parser: argparse.ArgumentParser) -> list[list[str]]:
    rows = []
    for action in parser._actions:
        if isinstance(action, argparse._HelpAction):
            continue
        name = ", ".join(action.option_strings) or action.metavar or action.dest
        value = f" {action.metavar or action.dest.upper()}" if action.option_strings and action.nargs != 0 else ""
        default = "" if action.default in (None, False, 0) else f" (`{action.default}`)"
        choices = f" One of {', '.join(map(str, action.choices))}." if action.choices else ""
        required = " Required." if action.required and action.option_strings else ""
        rows.append([f"`{name}{value}`", cell((action.help or "") + choices + required) + default])
    return rows


def command_line() -> str:
    """Every command of ``understudy`` with its arguments."""
    commands = next(action for action in cli.parser()._actions if isinstance(action, argparse._SubParsersAction))
    parts = []
    for name, parser in commands.choices.items():
        text = (parser.description or "").replace("<", "&lt;")
        rows = table(["argument", "meaning"], _arguments(parser))
        parts += [f"### understudy {name}\n", f"{text}\n", rows, f"{parser.epilog or ''}\n"]
    return "\n".join(parts).replace(str(REPOSITORY), "the repository")


def programs() -> str:
    """Every program of the workflow, from the first paragraph of its text."""
    rows = []
    for path in sorted((REPOSITORY / "scripts").glob("*.py")):
        text = ast.get_docstring(ast.parse(path.read_text())) or ""
        rows.append([f"`scripts/{path.name}`", cell(text.split("\n\n")[0])])
    return table(["program", "what it does"], rows)


def metrics() -> str:
    """The definitions that stand beside every number."""
    return table(
        ["name in report.json", "definition"], [[f"`{name}`", cell(text)] for name, text in DEFINITIONS.items()]
    )


def findings() -> str:
    """Every kind of finding that an audit can report."""
    rows = [[f"`{kind}`", severity, cell(text)] for kind, (severity, text) in KINDS.items()]
    return table(["kind", "severity", "meaning"], rows)


def _presentation(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "figures" / "presentation.json").read_text())


def verification(folder: Path) -> str:
    """Every check of a published study by part of the physics: value, expectation, tolerance, verdict and source."""
    checks = json.loads((folder / "report.json").read_text())["studies"][folder.name]["verification"]
    parts: dict[str, list[list[str]]] = {}
    for check in checks:
        verdict = '<span class="pass">pass</span>' if check["passed"] else '<span class="fail">fail</span>'
        values = [cell(quantity(check[name])) for name in ("value", "expected", "tolerance")]
        row = [cell(check["name"]), *values, verdict, cell(check.get("source") or "")]
        parts.setdefault(check.get("part") or "physics", []).append(row)
    columns = ["check", "measured", "expected", "tolerance", "verdict", "source"]
    passed = sum(bool(check["passed"]) for check in checks)
    tables = [f"**{part[:1].upper()}{part[1:]}**\n\n{table(columns, rows)}" for part, rows in parts.items()]
    return "\n".join([f"{passed} of {len(checks)} checks of the published run pass.\n", *tables])


def goals(folder: Path) -> str:
    """What was asked before a published study was run, published values, and what was measured."""
    outputs, claims = read_claims(_presentation(folder), str(folder))
    rows = []
    for claim in claims:
        if claim.part:
            rows.append([f"**{cell(claim.part)}**", "", "", "", "", ""])
            continue
        measured = ", ".join(value.text for value in claim.measured)
        reached = claim.reached.text if claim.reached else ""
        facts = (claim.quantity, claim.published, claim.least, claim.goal, measured, reached)
        rows.append([cell(text) for text in facts])
    order = f"Several values stand in this order: {', '.join(outputs)}.\n\n" if len(outputs) > 1 else ""
    return order + table(["quantity", "published", "asked at least", "goal", "measured", "reached"], rows)


def limits(folder: Path) -> str:
    """What a published study's own report says of its limits."""
    return "\n".join(f"- {cell(limit)}" for limit in _presentation(folder)["limits"]) + "\n"


def lead(folder: Path) -> str:
    """A published study's lead figure with its caption; `on_files` puts the picture into the site."""
    figure = _presentation(folder)["lead"]
    words = f"**{cell(figure['title'])}.** {cell(figure['caption'])}"
    return f"![{cell(figure['alt'])}](/{LEAD.format(folder.name)})\n\n*{folder.name}:* {words}\n"


def calcium_constants() -> str:
    """Constants of the calcium equations with how well each is known and where it comes from."""
    values = Parameters()
    rows = [
        [f"`{name}`", quantity(getattr(values, name)), known, cell(source)] for name, (known, source) in SOURCES.items()
    ]
    return table(["constant", "value", "known", "source"], rows)


def plan_evidence() -> str:
    """How far plans are from the runs that their costs come from, and from each run that the costs leave out."""
    runs, tables = kept_runs(TABLES)
    alone = {(entry["run"], entry["study"]): entry for entry in left_one_out(runs)}
    rows = []
    for entry in sorted(comparison(runs, tables), key=lambda entry: (entry["study"], entry["core_hours"]["measured"])):
        if entry["study"] != "report":
            left_out = alone[entry["run"], entry["study"]]
            errors = [
                f"{round(100 * error(entry[name])):+d} %" for name in ("core_hours", "largest_memory_MB", "disk_MB")
            ]
            errors += [f"{round(100 * error(left_out[name])):+d} %" for name in ("core_hours", "largest_memory_MB")]
            rows.append([f"{entry['study']}: {entry['run']}", str(entry["rules"]), *errors])
    return table(
        ["run", "rules", "core hours", "largest memory", "results", "hours, left out", "memory, left out"], rows
    )


def _times(factor: int) -> dict[str, Any]:
    """Keys of the published scale with this many times the impacts, profiles, patches and thresholds."""
    grown = {
        ("axon", "impacts"): ("training", "calibration", "heldout"),
        ("axon", "sampling"): ("training_profiles", "calibration_profiles", "heldout_profiles"),
        ("tms", "placements"): ("training_patches", "calibration_patches", "heldout_patches", "second_head_patches"),
        ("tms", "sampling"): ("training", "calibration", "heldout", "second_head", "unseen_pulse"),
    }
    now = read_configuration(None)
    over: dict[str, Any] = {}
    for (study, section), names in grown.items():
        values = getattr(getattr(now, study), section)
        over.setdefault(study, {})[section] = {name: factor * getattr(values, name) for name in names}
    return over


def plan_sizes() -> str:
    """The published scale and larger ones on more and more nodes."""
    rows = []
    for words, factor, ranks, nodes in (
        ("published", 1, 2, 1),
        ("published", 1, 640, 10),
        ("published", 1, 4000, 100),
        ("ten times the impacts, profiles, patches and thresholds", 10, 640, 10),
        ("a hundred times", 100, 4000, 100),
    ):
        study = read_configuration(None, over={"execution": {"ranks": ranks}, **_times(factor)})
        machine = Machine(ranks, nodes=nodes, cores=ranks // nodes)
        total = make_plan("", estimates(study, study_works(study)), machine)["total"]
        of_cores = f", {nodes} of {ranks // nodes} cores" if nodes > 1 else ", one"
        hours = (
            f"{value:.2g}" if value < 10 else f"{value:.0f}" for value in (total["core_hours"], total["wall_s"] / 3600)
        )
        rows.append([words, f"{ranks:,}{of_cores}", *hours])
    return table(["study", "ranks, nodes", "core hours", "hours elapsed"], rows)


def published(tell: Callable[[Path], str], study: str, reference: Path = REFERENCE) -> str:
    """What ``tell`` makes of a study's published results, or that there are none yet."""
    if (reference / study / "report.json").is_file():
        return tell(reference / study)
    return f"*No run of the study `{study}` is published yet; the report of a run has this part.*\n"


GENERATED: dict[str, Callable[..., str]] = {
    "command-line": command_line,
    "configuration": configuration,
    "calcium-constants": calcium_constants,
    "findings": findings,
    "goals": partial(published, goals),
    "lead": partial(published, lead),
    "limits": partial(published, limits),
    "metrics": metrics,
    "parameters": parameters,
    "plan-evidence": plan_evidence,
    "plan-sizes": plan_sizes,
    "programs": programs,
    "verification": partial(published, verification),
}


def fill(markdown: str) -> str:
    """A page with its generated parts; a name that nothing is known of raises `KeyError`, which ends the build."""
    return MARK.sub(lambda mark: GENERATED[mark[1]](*(word for word in mark.groups()[1:] if word)), markdown)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """MkDocs hook; generated pictures are named from the site's root, which a page below it reaches by going up."""
    up = "../" * page.file.src_uri.count("/")
    return fill(markdown).replace("](/assets/", f"]({up}assets/")


def on_files(files: Any, config: Any, **_: Any) -> Any:
    """MkDocs hook: the lead figures of published studies are pictures of the site."""
    for picture in sorted(REFERENCE.glob("*/figures/lead.png")):
        files.append(File.generated(config, LEAD.format(picture.parts[-3]), abs_src_path=str(picture)))
    return files
