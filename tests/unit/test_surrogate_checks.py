"""Numbers under the audit: damaged contents are findings, and what is stored twice is compared."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from test_audit import DATASET, FOLDS, METRICS, PREDICTIONS, TARGETS, Run

from understudy.provenance.file_checks import run_tree
from understudy.provenance.surrogate_checks import _judged, check_study


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(tmp_path_factory.mktemp("made"))


@pytest.fixture
def run(made: Run, tmp_path: Path) -> Run:
    return made.copied(tmp_path)


@pytest.fixture
def reported(run: Run) -> Run:
    """With all that a report copies."""
    sources = {
        "axon/surrogate/learning_curve.json": {"learning_curve": [{"n": 9}, {"n": 36}], "baselines": {}},
        "axon/deployment.json": {"n": 100, "seconds": 2.0},
        "axon/verification.json": {"checks": [{"name": "cable", "passed": True}]},
        "axon/figures/presentation.json": {"limits": ["small"], "labels": {}},
    }
    for path, content in sources.items():
        (run.folder / path).parent.mkdir(exist_ok=True)

        def write(file: Path, content: Any = content) -> None:
            file.write_text(json.dumps(content))

        run.do("simulate_axons", {"dataset": run.folder / DATASET}, {"numbers": run.folder / path}, write)
    copied = {"learning_curve": [{"n": 9}, {"n": 36}], "learning_curve_baselines": {}}
    edit(run.folder / METRICS, lambda metrics: metrics.update(copied))
    run.rehash(METRICS, PREDICTIONS, "audit.json", "report.html")
    report = run.report()
    curve, deployment, verification, _ = sources.values()
    report["studies"]["axon"] |= {
        "learning_curve": curve["learning_curve"],
        "deployment": deployment,
        "verification": verification["checks"],
        **{"published": {}, "published_point": None, "notes": [], "limits": ["small"], "goals": [], "in_short": []},
    }
    (run.folder / "report.json").write_text(json.dumps(report))
    run.rehash("report.json", "report.html")
    assert run.findings() == set()
    return run


def edit(path: Path, change: Callable[[Any], Any]) -> None:
    """Change a JSON file in place; what ``change`` returns replaces the whole, unless it is None."""
    content = json.loads(path.read_text())
    replaced = change(content)
    path.write_text(json.dumps(content if replaced is None else replaced))


@pytest.mark.parametrize(
    "change",
    [
        lambda metrics: metrics.update(subsets=[]),
        lambda metrics: metrics["targets"].update(tau_failed="0.9"),
        lambda metrics: metrics["folds"].update(random="0.9"),
        lambda metrics: metrics.update(paired=None),
        lambda metrics: metrics.update(n_heldout=10**400),
        lambda metrics: [metrics],
        lambda metrics: "metrics",
    ],
)
def test_metrics_of_another_form_are_unreadable(run: Run, change: Callable[[Any], Any]) -> None:
    edit(run.folder / METRICS, change)
    found = run.findings()
    assert ("changed_file", METRICS) in found
    assert {("unreadable_file", METRICS), ("metric_mismatch", METRICS)} & found


@pytest.mark.parametrize(
    "change",
    [
        lambda report: report["studies"].update(axon=[]),
        lambda report: report["studies"].update(axon="axon"),
        lambda report: report.update(studies=None),
        lambda report: [report],
    ],
)
def test_a_report_of_another_form_is_unreadable(run: Run, change: Callable[[Any], Any]) -> None:
    edit(run.folder / "report.json", change)
    assert {("changed_file", "report.json"), ("unreadable_file", "report.json")} <= run.findings()


def test_json_that_is_nested_too_deeply_is_unreadable(run: Run) -> None:
    (run.folder / METRICS).write_text("[" * 100_000)
    assert {("changed_file", METRICS), ("unreadable_file", METRICS)} <= run.findings()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda report: report["studies"].pop("axon"), "studies.axon is missing"),
        (
            lambda report: report["studies"].update(mars={}),
            "studies.mars: the run has no such study; accepted are axon",
        ),
        (lambda report: report["studies"]["axon"].update(n_heldout=1), "studies.axon.n_heldout is not what axon/surr"),
        (lambda report: report["studies"]["axon"].update(deployment={"n": 9}), "is not what axon/deployment.json says"),
        (lambda report: report["studies"]["axon"].update(verification=[]), "is not what axon/verification.json says"),
        (lambda report: report["studies"]["axon"]["learning_curve"].pop(), "learning_curve.json says"),
        (lambda report: report["studies"]["axon"].update(limits=[]), "studies.axon.limits is not what axon/figures/pr"),
        (lambda report: report["audit"].update(files=9), "audit is not what audit.json says"),
        (lambda report: report.pop("audit"), "audit is not what audit.json says"),
    ],
)
def test_a_report_that_differs_from_its_files(reported: Run, change: Callable[[Any], Any], message: str) -> None:
    """All hashes fit."""
    edit(reported.folder / "report.json", lambda report: change(report) and None)
    reported.rehash("report.json", "report.html")
    assert reported.findings() == {("report_mismatch", "report.json")}
    assert message in reported.message("report_mismatch")


@pytest.mark.parametrize(
    ("key", "value"),
    [("passed", False), ("files", 6), ("records", 3), ("inputs", 0), ("studies", ["mars"]), ("studies", [])],
)
def test_a_stored_verdict_about_another_run(run: Run, key: str, value: Any) -> None:
    """With all hashes forged, and the report that embeds it too."""
    edit(run.folder / "audit.json", lambda verdict: verdict.update({key: value}))
    (run.folder / "report.json").write_text(json.dumps(run.report()))
    run.rehash("audit.json", "audit.json", "report.html")
    run.rehash("report.json", "report.html")
    assert run.findings() == {("report_mismatch", "audit.json")}
    assert f"{key}: says {value!r}, accepted is " in run.message("report_mismatch")


def test_a_stored_verdict_is_no_lie_when_the_run_goes_on(run: Run) -> None:
    """Another study is computed after the audit."""
    inputs = {"config": run.folder / "axon/config/simulate_axons.yaml"}
    run.do("simulate_axons", inputs, {"dataset": run.folder / "tms/fields.h5"}, lambda path: path.touch(), "tms")
    assert run.findings() == set()


@pytest.mark.parametrize("path", [DATASET, PREDICTIONS])
def test_no_flipped_bit_of_an_hdf5_file_stops_the_audit(run: Run, path: str) -> None:
    """Bits of a tree, of headers and of attributes, upon which h5py raises errors of six kinds."""
    file = run.folder / path
    content = file.read_bytes()
    tree, _ = run_tree(run.folder)
    kinds = set()
    for at in (143, 871, 1105, 1560, 1976):
        for bit in range(8):
            damaged = bytearray(content)
            damaged[at] ^= 1 << bit
            file.write_bytes(damaged)
            kinds |= {entry["kind"] for entry in check_study(tree, "axon")}
    assert "unreadable_file" in kinds


def reverse(group: h5py.Group, name: str) -> None:
    group[name][...] = group[name][...][::-1]


def leave_out(group: h5py.Group) -> None:
    """Without the last case, in all columns."""
    for name in ("case", "group", "subset", "truth", "mean", "lower", "upper", "fold"):
        if name in group:
            values = group[name][:-1]
            del group[name]
            group[name] = values


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda group: reverse(group, "case"), "truth is not that of axon/ground_truth.h5 for cases: "),
        (lambda group: reverse(group, "truth"), "truth is not that of axon/ground_truth.h5 for cases: "),
        (lambda group: reverse(group, "group"), "group is not that of axon/ground_truth.h5 for cases: "),
        (leave_out, "cases of axon/ground_truth.h5 that are left out: 1 ("),
        (lambda group: group["case"].__setitem__(0, group["case"][1]), "cases that are there more than once: 1 ("),
        (lambda group: group["case"].__setitem__(0, 999), "that are no successful "),
        (lambda group: group["truth"].__setitem__((3, 1), np.nan), "truth is not that of"),
        (lambda group: group.file.attrs.update(target_names=np.array(TARGETS[::-1], dtype="S")), "in their order"),
    ],
)
@pytest.mark.parametrize(("path", "place"), [(PREDICTIONS, "heldout"), (FOLDS, "random"), (FOLDS, "grouped")])
def test_predictions_that_are_not_of_the_ground_truths_cases(
    run: Run, path: str, place: str, change: Callable[[h5py.Group], None], message: str
) -> None:
    """All hashes fit."""
    with h5py.File(run.folder / path, "a") as file:
        change(file[place])
    run.rehash(path, FOLDS, PREDICTIONS)
    assert ("truth_mismatch", path) in run.findings()
    assert message in run.message("truth_mismatch") and f"{place}: " in run.message("truth_mismatch")


def test_a_subset_that_is_not_the_ground_truths(run: Run) -> None:
    with h5py.File(run.folder / PREDICTIONS, "a") as file:
        file["heldout/subset"][0] = b"worst"
    run.rehash(PREDICTIONS, PREDICTIONS)
    assert "subset is not that of axon/ground_truth.h5 for cases: 1 (48)" in run.message("truth_mismatch")


def test_predictions_are_judged_alone_where_the_ground_truth_is_absent(run: Run) -> None:
    """As in published results."""
    with h5py.File(run.folder / PREDICTIONS, "a") as file:
        reverse(file["heldout"], "case")
    tree, _ = run_tree(run.folder)
    tree.absent[DATASET] = "0" * 64
    assert check_study(tree, "axon") == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda metrics: metrics["learning_curve"].pop(), "learning_curve: says [{'n': 9}], axon/surrogate/learning_"),
        (lambda metrics: metrics.update(learning_curve_baselines={"peak": []}), "learning_curve_baselines: says"),
        (lambda metrics: metrics.update(noise_floor={"tau_failed": {"r2": 1.0}}), "noise_floor: says"),
        (lambda metrics: metrics["novelty"].update(threshold=1.0), "novelty: says"),
        (lambda metrics: metrics["roles"]["fitted"].update(cases=31), "axon/surrogate/models.h5 says"),
        (lambda metrics: metrics["folds"]["random"].pop(), "folds.random: says [0, 1]"),
        (lambda metrics: metrics["subsets"].update(easy={}), "subsets: found easy, random; the stored"),
        (lambda metrics: metrics["baselines"].pop("peak"), "baselines: found none; the stored predictions have peak"),
        (lambda metrics: metrics["targets"].update(luck={}), "targets: found axon_strain, luck, tau_failed"),
        (lambda metrics: metrics["targets"]["tau_failed"].update(unit="mm"), "targets.tau_failed.unit: says 'mm'"),
        (
            lambda metrics: metrics["paired"]["peak"]["tau_failed"].update(verdict="no difference"),
            "verdict: says 'no di",
        ),
        (
            lambda metrics: metrics["paired"]["peak"]["tau_failed"].update(high=0.1),
            "the stored predictions give 'no di",
        ),
        (lambda metrics: metrics["coverage_judgement"]["tau_failed"].update(passed=True), "passed: says True"),
        (lambda metrics: metrics["coverage_judgement"]["tau_failed"].update(nominal=0.8), "nominal: says [0.8, 0.9]"),
    ],
)
def test_a_metric_that_another_file_knows_better(reported: Run, change: Callable[[Any], Any], message: str) -> None:
    (reported.axon / "noise_floor.json").write_text('{"targets": {}}')
    edit(reported.folder / METRICS, lambda metrics: metrics.update(noise_floor={}))
    edit(reported.folder / METRICS, lambda metrics: change(metrics) and None)
    assert ("metric_mismatch", METRICS) in reported.findings()
    assert message in reported.message("metric_mismatch")


@pytest.mark.parametrize(("low", "high", "holds"), [(0.87, 0.88, True), (0.8, 0.87, False), (0.93, 0.95, False)])
def test_a_judgement_of_coverage_follows_from_its_interval(low: float, high: float, holds: bool) -> None:
    group, entry = np.repeat(np.arange(10), 100), {"nominal": 0.9, "low": low, "high": high}
    judged = _judged(np.ones(1000, dtype=bool), group, entry)
    assert judged == {"coverage": 1.0, "passed": holds, "n": 1000, "groups": 10}
