"""Costs, their fit, the model of wall time, and what is asked of a scheduler."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from understudy import settings
from understudy.cli import main
from understudy.errors import InputError
from understudy.planning.calibration import calibrate, fitted
from understudy.planning.costs import TABLES, Estimate, estimates, memory_request_MB, run_time_minutes
from understudy.planning.evidence import comparison, error
from understudy.planning.machine import Machine, needs, scheduled
from understudy.planning.measurements import Measured, MeasuredRun, kept_runs, read_measurements
from understudy.planning.plan import duration, limits, make_plan
from understudy.planning.studies import read_configuration, study_works
from understudy.planning.work import Work
from understudy.provenance.fingerprint import REPOSITORY
from understudy.study import study_names

SIZES = ("tiny", "demo", "published")
NEAR = 0.25


def configuration(**values: Any) -> Any:
    return settings.load(values)


def planned(**values: Any) -> dict[str, Estimate]:
    own = configuration(**values)
    return estimates(own, study_works(own))


def measured(**values: Any) -> Measured:
    known: dict[str, Any] = {
        "start_s": 1.0,
        "serial_s": 0.0,
        "farmed_s": 0.0,
        "ranks": 1,
        "wall_s": None,
        "memory_MB": 100.0,
        "disk_MB": 1.0,
        "serial": {},
        "farmed": {},
        "memory": {},
        "disk": {},
    }
    return Measured(**{**known, **values})


def a_rule(farmed_s: float, blocks: int, serial_s: float = 0.0, longest: float = 1.0) -> Estimate:
    work = Work("rule", farmed={"cases": 1.0}, blocks=blocks, longest=longest)
    return Estimate("axon", work, 0.0, serial_s, farmed_s, 100.0, 1.0)


@pytest.mark.parametrize("study", study_names())
def test_every_rule_was_measured(study: str) -> None:
    unmeasured = [name for name, each in planned(studies=[study]).items() if not each.measured]
    assert unmeasured == []


@pytest.mark.parametrize("study", study_names())
def test_plans_are_near_what_was_measured_at_three_sizes(study: str) -> None:
    """Core hours, largest memory and disk of each measured run, from the figures kept beside the costs."""
    runs, tables = kept_runs(TABLES)
    entries = [entry for entry in comparison(runs, tables) if entry["study"] == study]
    sizes = {size for size in SIZES for entry in entries if entry["run"].startswith(size)}
    assert sizes >= set(SIZES)
    for entry in entries:
        for quantity in ("core_hours", "largest_memory_MB", "disk_MB"):
            assert abs(error(entry[quantity])) < NEAR, (entry["run"], quantity, entry[quantity])


def test_a_present_configuration_costs_what_its_measured_run_did() -> None:
    """The same through the configuration files themselves, not the amounts that were kept."""
    runs, _ = kept_runs(TABLES)
    for study, file, run in (
        ("axon", "tests/tiny.yaml", "tiny"),
        ("tms", "tests/tiny_tms.yaml", "tiny_tms"),
        ("calcium", "tests/tiny_calcium.yaml", "tiny_calcium"),
        ("axon", "config/demo.yaml", "demo"),
        ("tms", "config/demo.yaml", "demo"),
        ("calcium", "config/demo.yaml", "demo"),
    ):
        own = read_configuration(REPOSITORY / file, REPOSITORY / "config/config.yaml")
        costs = estimates(own, study_works(own))
        jobs = runs[run][study]
        hours = {
            "planned": sum(costs[f"{study}.{rule}"].serial_s + costs[f"{study}.{rule}"].farmed_s for rule in jobs),
            "measured": sum(job.core_s for job in jobs.values()),
        }
        assert abs(error(hours)) < NEAR, (file, study, hours)


@pytest.mark.parametrize(
    ("study", "key", "values", "rule"),
    [
        ("axon", "sampling", {"training_profiles": 20_000}, "axon.simulate_axons"),
        ("axon", "surrogate", {"training": {"members": 20}}, "axon.train_surrogate"),
        ("axon", "impacts", {"training": 360}, "axon.simulate_impacts"),
        ("axon", "head", {"element_mm": 2.0}, "axon.simulate_impacts"),
        ("tms", "sampling", {"training": 24_000}, "tms.simulate_thresholds"),
        ("tms", "cells", {"clones": 40}, "tms.build_cells"),
        ("tms", "head", {"local_voxel_mm": 0.25}, "tms.simulate_fields"),
        ("calcium", "receptors", {"seeds": 12}, "calcium.train_receptors"),
    ],
)
def test_more_work_costs_more_time(study: str, key: str, values: dict[str, Any], rule: str) -> None:
    before, after = planned(studies=[study])[rule], planned(studies=[study], **{study: {key: values}})[rule]
    assert after.core_s(2) > 1.5 * before.core_s(2)
    assert run_time_minutes(after, 2) >= run_time_minutes(before, 2)


def test_more_cases_need_more_memory_and_disk() -> None:
    before = planned(studies=["tms"])
    after = planned(studies=["tms"], tms={"sampling": {"training": 24_000, "heldout": 18_000}})
    for rule in ("tms.simulate_thresholds", "tms.evaluate_surrogate"):
        assert after[rule].memory_MB > 2 * before[rule].memory_MB
        assert memory_request_MB(after[rule]) > memory_request_MB(before[rule])
    assert after["tms.simulate_thresholds"].disk_MB > 5 * before["tms.simulate_thresholds"].disk_MB


def test_a_failed_attempt_asks_for_more() -> None:
    for each in planned().values():
        assert memory_request_MB(each, 2) == 2 * memory_request_MB(each) > 1.25 * each.memory_MB
        assert run_time_minutes(each, 2, attempt=3) == 3 * run_time_minutes(each, 2)
        assert 60 * run_time_minutes(each, 2) > 3 * each.wall_s(2)


def test_a_rule_that_was_never_measured_asks_for_much(tmp_path: Path) -> None:
    own = configuration(studies=["axon"])
    found = estimates(own, study_works(own), tmp_path)["axon.simulate_axons"]
    assert not found.measured
    assert memory_request_MB(found) >= 3000 and run_time_minutes(found, 2) >= 120


def test_the_fit_finds_what_amounts_cost() -> None:
    jobs = [measured(serial_s=5 + 0.01 * n + 0.2 * m, serial={"cases": n, "networks": m}) for n, m in
            ((100, 1), (1000, 2), (5000, 40), (90_000, 3))]  # fmt: skip
    found = fitted(jobs, "serial_s")
    assert found == pytest.approx({"one": 5, "cases": 0.01, "networks": 0.2}, rel=0.02)


def test_one_run_alone_makes_costs_grow_with_the_work() -> None:
    """Nothing tells the constant from the rest: a larger study must not look free."""
    found = fitted([measured(serial_s=100.0, serial={"cases": 1000})], "serial_s")
    assert found["cases"] * 1000 > 50


def test_no_ranks_share_nothing() -> None:
    assert fitted([measured(farmed_s=0.0)], "farmed_s") == {}


def test_ranks_speed_up_until_the_longest_block() -> None:
    rule = a_rule(farmed_s=1000.0, blocks=100)
    assert rule.wall_s(1) == pytest.approx(1000)
    assert rule.wall_s(10) == pytest.approx(100 + 0.5 * 10 * 0.9)
    assert rule.wall_s(100_000) == pytest.approx(10)
    assert a_rule(1000.0, 100, longest=3.0).wall_s(100_000) == pytest.approx(30)
    assert a_rule(1000.0, 100, serial_s=50.0).wall_s(100_000) == pytest.approx(60)


def test_jobs_wait_for_what_they_read_and_for_cores() -> None:
    costs = planned()
    machine = Machine(ranks=2, cores=2)
    jobs = {job.estimate.name: job for job in scheduled(costs, machine)}
    assert jobs.keys() == costs.keys()
    for name, earlier in needs(costs).items():
        assert all(jobs[one].end_s <= jobs[name].start_s + 1e-6 for one in earlier)
    for moment in (job.start_s for job in jobs.values()):
        assert sum(job.cores for job in jobs.values() if job.start_s <= moment < job.end_s - 1e-9) <= 2


def test_more_nodes_do_not_lengthen_the_farm_and_shorten_the_run() -> None:
    costs = planned(studies=["axon"])
    one = make_plan("x", costs, Machine(ranks=2, cores=2))
    ten = make_plan("x", costs, Machine(ranks=40, nodes=10, cores=4, queue_s=0.0))
    assert ten["total"]["wall_s"] < one["total"]["wall_s"]
    assert ten["total"]["core_hours"] > one["total"]["core_hours"], "every rank starts"


def test_limits_name_what_breaks() -> None:
    costs = planned()
    machine = Machine(ranks=4096, nodes=64, cores=64, memory_GB=16)
    found = "\n".join(limits(scheduled(costs, machine), machine, 1e4))
    assert "axon.simulate_impacts: 50 blocks" in found
    assert "GB on one node, which has 16 GB" in found
    assert limits(scheduled(costs, Machine(ranks=1, cores=1)), Machine(ranks=1, cores=1), 1e9) == []


def test_a_run_is_taken_into_tables_once(tmp_path: Path) -> None:
    job = measured(serial_s=10.0, serial={"cases": 100.0})
    run = MeasuredRun("small", "a machine", "2026-01-01", {"axon": {"rule": job}}, {})
    for _ in range(2):
        (path,) = calibrate([run], tmp_path)
    content = json.loads(path.read_text())
    assert list(content["measured"]) == ["small"] and set(content["rules"]) == {"rule"}
    runs, tables = kept_runs(tmp_path)
    assert runs["small"]["axon"]["rule"] == job
    (entry,) = comparison(runs, tables)
    assert error(entry["core_hours"]) == pytest.approx(0, abs=0.15)


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"configuration\.yaml"):
        read_measurements(tmp_path, {})


def status(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return ended.value.code


def test_plan_prints_stages_totals_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(yaml.safe_dump({"run": "small", "studies": ["axon"]}))
    assert status("plan", str(file), "--ranks", "64", "--nodes", "4", "--memory-GB", "2") == 0
    said = capsys.readouterr().out
    assert "axon.simulate_axons" in said and "64 ranks" in said and "longest chain" in said
    assert status("plan", str(file), "--json") == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["run"] == "small" and plan["total"]["jobs"] == len(plan["stages"])
    assert {"core_hours", "memory_MB_per_rank", "disk_MB", "jobs", "wall_s"} <= plan["stages"][0].keys()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--ranks", "0"), "--ranks: 1 problem(s) in the configuration\n  execution.ranks: found 0"),
        (("--ranks", "6400", "--nodes", "100"), "execution.ranks: found 6400"),
        (("--nodes", "3", "--ranks", "2"), "at least one rank for each"),
        (("--opens-per-s", "0"), "--opens-per-s: found 0"),
        (("--memory-GB", "-3"), "--memory-GB: found -3; accepted is a number above 0"),
        (("--memory-GB", "nan"), "--memory-GB: found nan"),
        (("--queue-s", "-3"), "--queue-s: found -3; accepted is a number at least 0"),
        (("nothing.yaml",), "nothing.yaml: cannot be read"),
        (("--compare", "nothing"), "no such folder"),
    ],
)
def test_wrong_arguments_are_named(arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status("plan", *arguments) == 2
    assert words in capsys.readouterr().err


def test_evidence_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert status("plan", "--evidence") == 0
    said = capsys.readouterr().out
    assert "fitted on all runs" in said and "published" in said


def test_durations_read_well() -> None:
    assert [duration(value) for value in (42, 600, 9000, 400_000)] == ["42 s", "10.0 min", "2.5 h", "4.6 d"]
