"""The plan knows the workflow: the same rules, fed by the same rules; and the doctor and the plan read a real run."""

from __future__ import annotations

import json
import re

import pytest
from conftest import Project

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


def test_resources_follow_the_configuration(empty_project: Project) -> None:
    """Snakemake asks for more memory and time where the configuration makes a rule larger."""

    def asked(*more: str) -> dict[str, str]:
        done = empty_project.snakemake("-n", "--printshellcmds", *more)
        assert done.returncode == 0, done.stderr
        text = done.stdout + done.stderr
        return dict(re.findall(r"(?:rule|localrule) (\w+):.*?resources: ([^\n]*)", text, re.DOTALL))

    small, large = asked(), asked("--config", 'axon={"sampling": {"training_profiles": 3000000}}')
    assert "mem_mb_per_cpu=" in small["simulate_axons"] and "runtime=" in small["simulate_axons"]

    def minutes(text: str) -> int:
        return int(re.search(r"runtime=(\d+)", text).group(1))

    assert minutes(large["simulate_axons"]) > 5 * minutes(small["simulate_axons"])
    assert minutes(large["map_fibre_orientation"]) == minutes(small["map_fibre_orientation"])


def test_a_finished_run_is_compared_calibrated_and_healthy(finished: Project, tmp_path) -> None:
    command = ("python", "-c", "from understudy.cli import main; main()")
    compared = finished.run(*command, "plan", "--compare", "results/tiny", "--json")
    assert compared.returncode == 0, compared.stderr
    entries = {entry["study"]: entry for entry in json.loads(compared.stdout)}
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
