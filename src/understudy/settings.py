"""The whole configuration: root keys, every study's section, stage files, and what is generated from the models."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import StringConstraints, create_model, field_validator

from understudy.configuration import Section, quantity, section_class, validated
from understudy.errors import InputError
from understudy.study import load_config, load_stages, study_names

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]


class Execution(Section):
    """How to run; none of these keys can change a result, so none is in a stage file."""

    ranks: int = quantity(2, "1", "MPI ranks of a physics stage, limited by `--cores`", "choice", ge=1, le=4096)
    launcher: str = quantity(
        "mpiexec", "-", "MPI launcher that takes `-n RANKS`; `mpiexec` is the embedded MPICH's", "choice", min_length=1
    )
    device: Literal["auto", "cpu", "cuda"] = quantity(
        "auto", "-", "device of surrogates: a GPU where there is one, else the CPU", "choice"
    )
    gpu_type: str | None = quantity(
        None, "-", "type of GPU to ask a cluster for where `device` is cuda; any where null", "choice"
    )
    gpu_partition: str | None = quantity(
        None, "-", "partition of a cluster for jobs that ask for a GPU; the profile's where null", "choice"
    )
    keep_shards: bool = quantity(False, "-", "keep shards and checkpoints after a finished workflow", "choice")


class Root(Section):
    """Root keys."""

    run: Name = quantity("published", "-", "name of the run: results/<run>/", "choice")
    seed: int = quantity(20261122, "1", "root seed of every random choice", "choice", ge=0, lt=2**63)
    data_dir: str = quantity("data", "-", "folder of external data that is never committed", "choice", min_length=1)
    studies: tuple[str, ...] = quantity(tuple(study_names()), "-", "enabled studies", "choice", min_length=1)
    execution: Execution = Execution()

    @field_validator("run")
    @classmethod
    def _not_reference(cls, run: str) -> str:
        if run == "reference":
            raise ValueError("this name is kept for published results; accepted is any other name")
        return run

    @field_validator("studies")
    @classmethod
    def _known(cls, studies: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [study for study in studies if study not in study_names()]
        if unknown or len(set(studies)) != len(studies):
            raise ValueError(f"accepted are different names out of {', '.join(study_names())}")
        return studies


Configuration: type[Root] = create_model(
    "Configuration",
    __base__=Root,
    **{study: (load_config(study), load_config(study)()) for study in study_names()},
)


class _OneMeaning(yaml.SafeLoader):
    """YAML in which a key stands once: of two the last would win without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = []
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                continue  # `<<` is no key: what it brings in, keys of the section itself replace
            name = self.construct_object(key, deep=True)
            if name in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {name} stands twice", key.start_mark)
            seen.append(name)
        return super().construct_mapping(node, deep=deep)


def read_file(path: Path) -> Any:
    """What a configuration file says, unchecked.

    Raises
    ------
    InputError
        If it cannot be read, is no YAML, or a key stands twice in one section.
    """
    try:
        with path.open() as stream:
            return yaml.load(stream, _OneMeaning)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); accepted is a configuration file") from None
    except (ValueError, yaml.YAMLError) as error:
        text = " ".join(str(error).split())
        raise InputError(f"{path}: found no YAML of one meaning ({text}); accepted is a configuration file") from None


def load(values: Mapping[str, Any], origin: str = "configuration") -> Any:
    """The validated configuration; `InputError` names every key that is wrong."""
    return validated(Configuration, dict(values), origin)


def require_data_dir(configuration: Any) -> None:
    """A folder of external data that was asked for is there; the default one need not be.

    Raises
    ------
    InputError
        If it is not.
    """
    default = Root.model_fields["data_dir"].default
    if configuration.data_dir != default and not Path(configuration.data_dir).is_dir():
        raise InputError(
            f"data_dir: found {configuration.data_dir!r}, which is no folder; accepted is a folder of external data, "
            f"or {default!r}, which may be absent"
        )


def _get(values: Any, dotted: str) -> Any:
    for part in dotted.split("."):
        values = values[part]
    return values


def stage_values(configuration: Any, study: str, stage: str) -> dict[str, Any]:
    """Only the keys that ``stage`` reads, nested as in the study's section; ``seed`` is the root seed."""
    study_section = getattr(configuration, study).model_dump(mode="json")
    values: dict[str, Any] = {"study": study}
    for dotted in load_stages(study)[stage]:
        if dotted == "seed":
            values["seed"] = configuration.seed
            continue
        target = values
        *parents, last = dotted.split(".")
        for part in parents:
            target = target.setdefault(part, {})
        target[last] = _get(study_section, dotted)
    return values


def write_if_different(path: Path, text: str) -> None:
    """Write ``text`` whole, unless the file has it already: unchanged keys keep the file's time."""
    try:
        if path.exists() and path.read_text() == text:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w") as stream:
            stream.write(text)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror}); accepted is a writable results folder"
        ) from None


def write_run_files(configuration: Any, folder: Path) -> None:
    """The merged configuration and every stage file, below ``folder``."""
    dump = yaml.safe_dump(configuration.model_dump(mode="json"), sort_keys=False, width=120)
    write_if_different(folder / "config" / "configuration.yaml", dump)
    for study in configuration.studies:
        for stage in load_stages(study):
            text = yaml.safe_dump(stage_values(configuration, study, stage), sort_keys=True, width=120)
            write_if_different(folder / study / "config" / f"{stage}.yaml", text)


def write_command(folder: Path, cores: int | None, targets: Sequence[str], profile: str | None = None) -> None:
    """How Snakemake was started, for `understudy resume`: the merged configuration stands for all its sources.

    Parameters
    ----------
    folder : ``results/<run>``.
    cores : of this machine; None where jobs go to a cluster.
    targets : rules or files.
    profile : workflow profile, where one was named.
    """
    command = {
        "configfiles": [(folder / "config" / "configuration.yaml").as_posix()],
        "cores": cores,
        "profile": profile,
        "targets": list(targets),
    }
    write_if_different(folder / "config" / "command.json", json.dumps(command, indent=2, sort_keys=True) + "\n")


def read_stage(path: str | Path) -> dict[str, Any]:
    """A stage file's values.

    Raises
    ------
    InputError
        If the file is missing or is not a stage file.
    """
    try:
        values = yaml.safe_load(Path(path).read_text())
    except FileNotFoundError:
        raise InputError(f"{path}: no such stage file; `snakemake -n` writes it") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: found no YAML ({error}); accepted is a stage file") from None
    if not isinstance(values, dict) or "study" not in values:
        raise InputError(f"{path}: found no key `study`; accepted is a stage file as `snakemake -n` writes it")
    return values


def all_fields() -> Iterator[tuple[str, Any]]:
    """Dotted key and field of everything that is no section, in order."""
    for dotted, field, nested in _entries(Configuration):
        if nested is None:
            yield dotted, field


def _entries(model: type[Section], prefix: str = "") -> Iterator[tuple[str, Any, type[Section] | None]]:
    """Dotted key, field, and the section's class where it is one; sections come before their keys."""
    for name, field in model.model_fields.items():
        nested = section_class(field.annotation)
        yield f"{prefix}{name}", field, nested
        if nested is not None:
            yield from _entries(nested, f"{prefix}{name}.")


def schema() -> str:
    """JSON schema of the configuration, as text."""
    return json.dumps(Configuration.model_json_schema(), indent=1, sort_keys=True) + "\n"


def generated_files() -> dict[str, str]:
    """Path below the repository -> text of what is generated from the models."""
    return {
        "config/config.yaml": template_yaml(),
        "config/reference.md": "# Keys of the configuration\n\nGenerated by `understudy configuration`.\n\n"
        + reference_table(),
        "workflow/config.schema.json": schema(),
    }


def limits(field: Any) -> str:
    """What is accepted for a key, in signs and words; empty where any value of its type is."""
    signs = {"Gt": ">", "Ge": "≥", "Lt": "<", "Le": "≤"}
    found = []
    for item in field.metadata:
        sign = signs.get(type(item).__name__)
        if sign is not None:
            found.append(f"{sign} {getattr(item, type(item).__name__.lower()):g}")
    if getattr(field.annotation, "__origin__", None) is Literal:
        found.append(" or ".join(str(option) for option in field.annotation.__args__))
    return ", ".join(found)


def reference_table() -> str:
    """Markdown table of all keys: default at the published scale, unit, range, meaning, source."""
    lines = ["| key | default | unit | accepted | meaning | source |", "|---|---|---|---|---|---|"]
    for dotted, field in all_fields():
        extra = field.json_schema_extra or {}
        default = json.dumps(field.default)
        unit = extra.get("unit", "-")
        row = (f"`{dotted}`", f"`{default}`", unit, limits(field), field.description or "", extra.get("source", ""))
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines) + "\n"


def template_yaml() -> str:
    """``config/config.yaml``: every key at the published scale with its unit, meaning and source as comments."""
    lines = [
        "# The published scale. Every key with its meaning, unit and source; generated by `understudy configuration`",
        "# from the models in src/understudy/*/config.py, where defaults and ranges stand. Files such as",
        "# config/demo.yaml (`--configfile`) override single keys.",
    ]
    for dotted, field, nested in _entries(Configuration):
        name = dotted.rpartition(".")[2]
        indent = "  " * dotted.count(".")
        if nested is not None:
            lines.append("")
            lines.append(f"{indent}# {(nested.__doc__ or '').strip().splitlines()[0]}")
            lines.append(f"{indent}{name}:")
            continue
        extra = field.json_schema_extra or {}
        unit = extra.get("unit", "-")
        unit_text = "" if unit in ("-", "1") else f" [{unit}]"
        default = field.default
        value = json.dumps(list(default) if isinstance(default, tuple) else default)
        lines.append(f"{indent}# {field.description}{unit_text}; {extra.get('source', '')}")
        lines.append(f"{indent}{name}: {value}")
    return "\n".join(lines) + "\n"
