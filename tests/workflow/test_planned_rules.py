"""The plan knows the workflow: the same rules, fed by the same rules; and the doctor and the plan read a real run."""

from __future__ import annotations

import json
import re

import pytest
from conftest import REPOSITORY, Project

from understudy import settings
from understudy.planning.costs import estimates
from understudy.planning.machine import needs
from understudy.planning.studies import study_works

# Two jobs of one rule.
VARIANTS = {"simulate_other_sex": "simulate_variant", "simulate_other_criterion": "simulate_variant"}
TARGETS = {"all", "axon", "tms", "calcium", "report"}


def rule_graph(project: Project, study: str) -> dict[str, set[str]]:
    """Rule -> rules that it reads from, as Snakemake has it."""
    done = project.run("snakemake", "--rulegraph", "--forceall", "--config", f"studies=['{study}']")
    assert done.returncode == 0, done.stderr
    names = dict(re.findall(r'(\d+)\[label = "(\w+)', done.stdout))
    graph: dict[str, set[str]] = {name: set() for name in names.values() if name not in TARGETS}
    for earlier, later in re.findall(r"(\d+) -> (\d+)", done.stdout):
        if names[later] not in TARGETS:
            graph[names[later]].add(names[earlier])
    return graph


@pytest.mark.parametrize("study", ["axon", "calcium", "tms"])
def test_the_plan_has_the_rules_of_the_workflow_in_its_order(study: str, empty_project: Project) -> None:
    graph = rule_graph(empty_project, study)
    configuration = settings.load({"studies": [study]})
    costs = estimates(configuration, study_works(configuration))
    planned: dict[str, set[str]] = {}
    for name, earlier in needs(costs).items():
        rule = name.removeprefix(f"{study}.")
        rules = {one.removeprefix(f"{study}.") for one in earlier}
        planned.setdefault(VARIANTS.get(rule, rule), set()).update(VARIANTS.get(one, one) for one in rules)
    assert planned.keys() == graph.keys()
    for rule, earlier in graph.items():
        if rule in ("judge_results", "write_report"):
            # The audit waits for all of a study, directly or not.
            assert earlier <= planned[rule]
        else:
            assert planned[rule] == earlier, rule


@pytest.mark.parametrize("file", ["axon", "calcium", "tms", "surrogate", "report"])
def test_every_rule_asks_for_what_it_is_expected_to_cost(file: str) -> None:
    """Its own costs, not those of a neighbour from whom it was copied."""
    text = (REPOSITORY / "rules" / f"{file}.smk").read_text()
    bodies = re.split(r"^ *rule (\w+):", text, flags=re.MULTILINE)[1:]
    prefix = {"surrogate": "{study}.", "report": ""}.get(file, f"{file}.")
    for rule, body in zip(bodies[::2], bodies[1::2], strict=True):
        if "resources:" not in body or rule.startswith("retrieve_"):
            continue
        name = {"simulate_variant": "simulate_{variant}", "audit": "judge_results"}.get(rule, rule)
        assert re.findall(r'(?:memory|run_time)\("([^"]+)"\)', body) == [f"{prefix}{name}"] * 2, rule
        assert not re.search(r"(mem_mb|mem_mb_per_cpu|runtime)=\d", body), rule


def test_a_finished_run_is_compared_calibrated_and_healthy(finished: Project, tmp_path) -> None:
    command = ("python", "-c", "from understudy.cli import main; main()")
    compared = finished.run(*command, "plan", "--compare", "results/tiny", "--json")
    assert compared.returncode == 0, compared.stderr
    # The last entry is the wall time of the run.
    entries = {entry["study"]: entry for entry in json.loads(compared.stdout) if "study" in entry}
    # Kernels may be compiled in this run, and the machine may be another: the size is what is tested here.
    assert entries["axon"]["rules"] >= 20
    assert entries["axon"]["disk_MB"]["planned"] == pytest.approx(entries["axon"]["disk_MB"]["measured"], rel=0.5)
    made = finished.run(*command, "plan", "--calibrate", "results/tiny", "--tables", str(tmp_path))
    assert made.returncode == 0, made.stderr
    table = json.loads((tmp_path / "axon.json").read_text())
    assert table["rules"]["simulate_axons"]["farmed_s"] and table["measured"]["tiny"]["machine"]
    doctor = finished.run(*command, "doctor", "tests/tiny.yaml", "--json")
    found = {finding["check"]: finding for finding in json.loads(doctor.stdout)}
    assert found["metadata"]["state"] == "good", found["metadata"]
    assert found["MPI launcher"]["state"] == "good", found["MPI launcher"]
