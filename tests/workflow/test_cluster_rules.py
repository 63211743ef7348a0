"""What rules ask of a cluster, from the profile and the configuration alone; no SLURM is needed for that."""

from __future__ import annotations

import json
import re

from conftest import Project

DEVICE_RULES = {
    "compare_criteria",
    "compare_models",
    "compare_samplings",
    "compare_sexes",
    "cross_validate_surrogate",
    "evaluate_surrogate",
    "map_injury",
    "map_thresholds",
    "map_waves",
    "measure_learning_curve",
    "measure_sensitivity",
    "train_surrogate",
}
# Snakemake prints resources only of rules without a message.
RESOURCES = """
import json, sys
from pathlib import Path
from snakemake.api import ConfigSettings, OutputSettings, ResourceSettings, SnakemakeApi
execution = json.loads(sys.argv[1])
with SnakemakeApi(OutputSettings()) as api:
    settings = ConfigSettings(config={"execution": execution}, configfiles=[Path("config/demo.yaml")])
    workflow = api.workflow(ResourceSettings(cores=64), settings, snakefile=Path("Snakefile"))._workflow
    plain = {rule.name: {key: each.value for key, each in rule.resources.items() if not each.is_evaluable()}
             for rule in workflow.rules}
print(json.dumps(plain))
"""


def asked(project: Project, **execution: str | int) -> dict[str, dict[str, str | int]]:
    """Rule -> resources that are no functions."""
    done = project.run("python", "-c", RESOURCES, json.dumps(execution))
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_launcher_and_ranks_come_from_the_profile(empty_project: Project) -> None:
    arguments = ("-n", "--printshellcmds", "--cores", "64", "--configfile", "config/demo.yaml")
    done = empty_project.run("snakemake", *arguments, "--workflow-profile", "profiles/slurm")
    assert done.returncode == 0, done.stderr
    commands = re.findall(r"^Shell command: (.*)$", done.stdout + done.stderr, re.MULTILINE)
    mpi = [command for command in commands if "--ranks" in command]
    launched = "srun --mpi=pmi2 --kill-on-bad-exit=1 -n 32 python scripts/"
    assert len(mpi) == 16 and all(command.startswith(launched) and "--ranks 32 " in command for command in mpi)
    others = [command for command in commands if "--ranks" not in command]
    assert [command for command in others if "srun" in command] == [] and len(others) > 30


def test_gpus_are_asked_for_where_the_device_is_cuda(empty_project: Project) -> None:
    found = asked(empty_project, device="cuda", gpu_type="a100", gpu_partition="gpu", ranks=8)
    keys = ("device", "gpu", "gpu_model", "slurm_partition")
    devices = {name: tuple(each.get(key) for key in keys) for name, each in found.items() if "device" in each}
    assert devices == dict.fromkeys(DEVICE_RULES, ("cuda", 1, "a100", "gpu"))
    assert found["simulate_axons"]["mpi"] == "mpiexec" and found["simulate_axons"]["cpus_per_task"] == 1
    plain = asked(empty_project, device="auto", ranks=1)
    site = {"gpu", "gpu_model", "slurm_partition", "slurm_account", "mpi"}
    assert all(site.isdisjoint(each) for each in plain.values())
