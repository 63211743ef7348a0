"""Numbers under the audit: damaged contents are findings, and what is stored twice is compared."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_audit import DATASET, FOLDS, METRICS, MODELS, PREDICTIONS, Run

from understudy.provenance.file_checks import run_tree
from understudy.provenance.surrogate_checks import check_study


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(tmp_path_factory.mktemp("made"))


@pytest.fixture
def run(made: Run, tmp_path: Path) -> Run:
    """A copy that a test may damage."""
    shutil.copytree(made.folder, tmp_path / "results" / "small")
    copy = object.__new__(Run)
    copy.root, copy.atlas = made.root, made.atlas
    copy.folder, copy.axon = tmp_path / "results/small", tmp_path / "results/small/axon"
    return copy


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
        lambda metrics: None or "metrics",
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


@pytest.mark.parametrize("path", [DATASET, MODELS, FOLDS, PREDICTIONS])
def test_no_flipped_bit_of_an_hdf5_file_stops_the_audit(run: Run, path: str) -> None:
    """Superblock, trees, heaps, headers and attributes: each bit of every 97th byte."""
    file = run.folder / path
    content = file.read_bytes()
    tree, _ = run_tree(run.folder)
    kinds = set()
    for at in range(0, min(len(content), 6000), 97):
        for bit in range(8):
            damaged = bytearray(content)
            damaged[at] ^= 1 << bit
            file.write_bytes(damaged)
            kinds |= {entry["kind"] for entry in check_study(tree, "axon")}
    assert "unreadable_file" in kinds
