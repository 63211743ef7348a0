"""Which keys and rules belong together in a study, written down independently of the rule files, and how it is held."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import yaml
from conftest import Project

from understudy import settings
from understudy.study import load_stages, study_names

SURROGATE = {"train_surrogate", "cross_validate_surrogate", "measure_learning_curve", "evaluate_surrogate"}
"""Rules of the shared machine."""

# `run` names the folder and `studies` the targets: they make another run, not a changed one.
NOT_KEYS_OF_A_RESULT = {"run", "studies"}
# Keys of no study whose nearest other value is not a nudge.
_OTHER_VALUES = {
    "data_dir": {"data_dir": "config"},
    "execution.launcher": {"execution.launcher": "mpirun"},
    "execution.gpu_type": {"execution.gpu_type": "a100"},
    "execution.gpu_partition": {"execution.gpu_partition": "accelerated"},
}


def get(values: Any, dotted: str) -> Any:
    for part in dotted.split("."):
        values = values[part]
    return values


def put(values: dict, dotted: str, value: Any) -> None:
    *parents, last = dotted.split(".")
    for part in parents:
        values = values.setdefault(part, {})
    values[last] = value


def tiny_values(project: Project) -> dict[str, Any]:
    return yaml.safe_load((project.folder / project.configuration).read_text())


def write_values(project: Project, values: dict[str, Any]) -> None:
    (project.folder / project.configuration).write_text(yaml.safe_dump(values))


def add_logic(project: Project, module: str) -> None:
    path = project.folder / module
    path.write_text(path.read_text() + "\n\nADDED = 1\n")


@dataclass(frozen=True)
class RerunTable:
    """The table of one study.

    Attributes
    ----------
    study : its name.
    feeds : rule -> rules that it feeds.
    first : key or prefix of keys -> rules in which it first acts; the longest prefix counts.
    other_values : keys whose nearest other value needs a second key, or more than a nudge -> what to set.
    """

    study: str
    feeds: Mapping[str, set[str]]
    first: Mapping[str, set[str]]
    other_values: Mapping[str, dict[str, Any]]

    def downstream(self, *rules: str) -> set[str]:
        """The rules and everything that they feed."""
        found: set[str] = set()
        waiting = list(rules)
        while waiting:
            rule = waiting.pop()
            if rule not in found:
                found.add(rule)
                waiting.extend(self.feeds[rule])
        return found

    def line_of(self, key: str) -> str:
        """The line of the table that speaks of a key."""
        lines = [known for known in self.first if key == known or key.startswith(f"{known}.")]
        assert lines, f"{key}: no line of the table speaks of it"
        return max(lines, key=len)

    def first_rules(self, key: str) -> set[str]:
        """Rules that read a key themselves."""
        return self.first[self.line_of(key)]

    def fields(self) -> dict[str, Any]:
        """Keys of the study and of no study, with their fields."""
        others = tuple(f"{study}." for study in study_names() if study != self.study)
        return {
            key: field
            for key, field in settings.all_fields()
            if key not in NOT_KEYS_OF_A_RESULT and not key.startswith(others)
        }

    def one_key_of_each_line(self) -> list[str]:
        """The first key that each line of the table speaks of."""
        found: dict[str, str] = {}
        for key in self.fields():
            found.setdefault(self.line_of(key), key)
        return list(found.values())

    def changed(self, values: dict[str, Any], key: str) -> dict[str, Any]:
        """The configuration with another accepted value of a key, and of those that must change with it."""
        now = get(settings.load(values).model_dump(mode="json"), key)
        other = yaml.safe_load(yaml.safe_dump(values))
        for name, value in self._other_value(key, now).items():
            put(other, name, value)
        return other

    def _other_value(self, key: str, now: Any) -> dict[str, Any]:
        known = {**_OTHER_VALUES, **self.other_values}
        if key in known:
            return known[key]
        field = self.fields()[key]
        if typing.get_origin(field.annotation) is Literal:
            return {key: next(option for option in field.annotation.__args__ if option != now)}
        if isinstance(now, bool):
            return {key: not now}
        if isinstance(now, int):
            return {key: now + 1}
        if isinstance(now, float):
            return {key: now * 0.99 if now else 0.01}
        raise AssertionError(f"{key}: no other value known for {now!r} ({field.annotation})")

    def hold_stages(self, project: Project) -> None:
        """Every key in turn: the stage files that change are those of the rules that the table names."""
        values = tiny_values(project)
        before = settings.load(values)
        for key in self.fields():
            after = settings.load(self.changed(values, key))
            assert after != before, key
            found = {
                stage
                for stage in load_stages(self.study)
                if settings.stage_values(before, self.study, stage) != settings.stage_values(after, self.study, stage)
            }
            assert found == self.first_rules(key), key

    def hold_key(self, project: Project, key: str) -> None:
        """One key through Snakemake itself."""
        write_values(project, self.changed(tiny_values(project), key))
        assert project.planned() == self.downstream(*self.first_rules(key))
