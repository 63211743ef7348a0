"""The audit: a sound run passes, and each kind of damage is found and rightly named."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import h5py
import numpy as np
import pytest

from understudy.dataset import Field, write_ground_truth
from understudy.errors import InputError
from understudy.provenance import run_folder
from understudy.provenance.attempts import read_attempts
from understudy.provenance.audit import audit
from understudy.provenance.findings import KINDS, verdict_text
from understudy.provenance.job import job
from understudy.provenance.record import canonical_sha256, parse_time, sealed, write_record
from understudy.provenance.reference import audit_reference, publish, reference_folders
from understudy.provenance.run_folder import file_sha256, produce_command, rerun_command, snakemake_arguments
from understudy.surrogate.metrics import coverage, r2, target_metrics

TARGETS = ("axon_strain", "tau_failed")
PROGRAMS = (
    "simulate_axons",
    "train_surrogate",
    "cross_validate_surrogate",
    "evaluate_surrogate",
    "judge_results",
    "write_report",
)
N_GROUPS, PER_GROUP = 10, 6
SPLIT_OF_GROUP = ("training",) * 6 + ("calibration",) * 2 + ("heldout",) * 2


def write_code(root: Path) -> None:
    """Programs of this run, each with a module of its own."""
    for program in PROGRAMS:
        for name, text in (
            (f"scripts/{program}.py", f"from understudy.physics import {program}\n\nprint({program})\n"),
            (f"src/understudy/physics/{program}.py", f'"""Module of {program}."""\n\nvalue = 1\n'),
        ):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)


def cases(split: str) -> np.ndarray:
    group = np.repeat(np.arange(N_GROUPS), PER_GROUP)
    return np.flatnonzero(np.array(SPLIT_OF_GROUP)[group] == split)


def group_of(case: np.ndarray) -> np.ndarray:
    return case // PER_GROUP


def inputs_and_targets() -> tuple[np.ndarray, np.ndarray]:
    """Of all cases."""
    generator = np.random.default_rng(1)
    n = N_GROUPS * PER_GROUP
    return generator.normal(size=(n, 1, 4)), generator.normal(size=(n, 2))


def write_dataset(path: Path) -> None:
    n = N_GROUPS * PER_GROUP
    case = np.arange(n)
    inputs, targets = inputs_and_targets()
    split = np.array(SPLIT_OF_GROUP)[group_of(case)]
    write_ground_truth(
        path,
        study="axon",
        inputs=inputs,
        targets=targets,
        case=case,
        group=group_of(case),
        split=list(split),
        subset=["random" if name == "heldout" else "" for name in split],
        failed=[""] * n,
        channels=[Field("strain", "1")],
        target_fields=[Field(name, "1") for name in TARGETS],
        group_names=[f"impact {number}" for number in range(N_GROUPS)],
        input_step=1.0,
        input_step_unit="ms",
    )


def write_models(path: Path) -> None:
    training = cases("training")
    stopping = group_of(training) == 0
    roles = {"fitted": training[~stopping], "stopping": training[stopping], "calibration": cases("calibration")}
    with h5py.File(path, "w") as file:
        file.attrs["coverage"], file.attrs["novelty_threshold"] = 0.9, 1.5
        for role, case in roles.items():
            file[f"roles/{role}_case"], file[f"roles/{role}_group"] = case, group_of(case)


def write_folds(path: Path, grouped_fold: np.ndarray | None = None) -> None:
    training = cases("training")
    truth = inputs_and_targets()[1][training]
    fold = {"random": np.arange(len(training)) % 3, "grouped": group_of(training) % 3}
    if grouped_fold is not None:
        fold["grouped"] = grouped_fold
    with h5py.File(path, "w") as file:
        file.attrs["target_names"] = np.array(TARGETS, dtype="S")
        for scheme, numbers in fold.items():
            columns = {"case": training, "group": group_of(training), "fold": numbers, "truth": truth}
            for name, values in {**columns, "mean": truth + 0.1}.items():
                file[f"{scheme}/{name}"] = values


def write_predictions(path: Path) -> None:
    held = cases("heldout")
    generator = np.random.default_rng(3)
    truth = inputs_and_targets()[1][held].astype(np.float32).astype(float)
    mean = truth + 0.2 * generator.normal(size=truth.shape)
    with h5py.File(path, "w") as file:
        file.attrs["target_names"] = np.array(TARGETS, dtype="S")
        file.attrs["target_units"] = np.array(["1"] * len(TARGETS), dtype="S")
        columns = {"case": held, "group": group_of(held), "truth": truth, "mean": mean}
        for name, values in {**columns, "lower": mean - 0.3, "upper": mean + 0.3}.items():
            file[f"heldout/{name}"] = values
        file["heldout/flagged"] = np.arange(len(held)) == 3
        file["heldout/subset"] = np.array(["random"] * len(held), dtype="S6")
        file["heldout/baselines/peak/mean"] = np.zeros_like(truth)


def metrics_of(predictions: Path, folds: Path) -> dict:
    """What evaluate_surrogate writes, as far as the audit recomputes it."""
    with h5py.File(predictions) as file, h5py.File(folds) as cross:
        held = {name: file[f"heldout/{name}"][...] for name in ("truth", "mean", "lower", "upper")}
        peak_mean = file["heldout/baselines/peak/mean"][...]
        out_of_fold = {
            scheme: {name: cross[f"{scheme}/{name}"][...] for name in ("fold", "truth", "mean")}
            for scheme in ("random", "grouped")
        }
    splits = {name: SPLIT_OF_GROUP.count(name) for name in ("training", "calibration", "heldout")}
    groups = {"fitted": splits["training"] - 1, "stopping": 1, "calibration": splits["calibration"]}
    entry: dict = {
        "n_train": splits["training"] * PER_GROUP,
        "n_train_groups": splits["training"],
        "n_heldout": len(peak_mean),
        "novelty": {"threshold": 1.5},
        "roles": {role: {"cases": count * PER_GROUP, "groups": count} for role, count in groups.items()},
        "baseline_intervals": {"peak": {}},
        "targets": {},
        "baselines": {"peak": {}},
        "paired": {"peak": {}},
        "coverage_judgement": {},
        "cross_validation": {scheme: {} for scheme in out_of_fold},
        "folds": {},
    }
    for c, target in enumerate(TARGETS):
        truth, mean, lower, upper = (held[name][:, c] for name in ("truth", "mean", "lower", "upper"))
        point = target_metrics(truth, mean)
        covered = coverage(truth, lower, upper)
        width = float(np.mean(upper - lower))
        entry["targets"][target] = {"unit": "1", **point, "coverage90": covered, "interval_width": width}
        entry["coverage_judgement"][target] = {
            "coverage": covered,
            "low": 0.5,
            "high": 1.0,
            "nominal": 0.9,
            "passed": None,
            "n": len(truth),
            "groups": splits["heldout"],
        }
        peak = target_metrics(truth, peak_mean[:, c])
        entry["baselines"]["peak"][target] = peak
        difference = point["nrmse"] - peak["nrmse"]
        entry["paired"]["peak"][target] = {
            "difference_nrmse": difference,
            "low": difference - 0.01,
            "high": difference + 0.01,
            "verdict": "network better",
        }
        for scheme, columns in out_of_fold.items():
            pooled = target_metrics(columns["truth"][:, c], columns["mean"][:, c])
            entry["cross_validation"][scheme][target] = pooled
    counts = {"n": len(peak_mean), "groups": splits["heldout"], "flagged": 1 / len(peak_mean)}
    entry["subsets"] = {"random": {**counts, "targets": entry["targets"]}}
    for scheme, columns in out_of_fold.items():
        entry["folds"][scheme] = []
        for number in np.unique(columns["fold"]):
            row = columns["fold"] == number
            scores = {target: r2(columns["truth"][row, c], columns["mean"][row, c]) for c, target in enumerate(TARGETS)}
            entry["folds"][scheme].append({"fold": int(number), "n": int(row.sum()), "r2": scores})
    return entry


class Run:
    """A small finished run with its code, made through the real job."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "code"
        self.folder = folder / "results" / "small"
        self.axon = self.folder / "axon"
        write_code(self.root)
        for name, text in (
            ("config/configuration.yaml", "run: small\nseed: 5\nstudies: [axon]\naxon: {impacts: {training: 6}}\n"),
            ("axon/config/simulate_axons.yaml", "study: axon\nseed: 5\nimpacts: {training: 6}\n"),
        ):
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(text)
        self.atlas = folder / "atlas.trk"
        self.atlas.write_bytes(b"streamlines")
        self.make()

    def do(self, program: str, inputs: dict, outputs: dict, write: Callable, study: str | None = "axon") -> None:
        with job(
            program=program,
            inputs=inputs,
            outputs=outputs,
            parameters={"study": "axon", "seed": 5, "impacts": {"training": 6}},
            seed=5,
            study=study,
            root=self.root,
        ) as this:
            write(*(this.temporary(name) for name in outputs))

    def make(self) -> None:
        axon, surrogate = self.axon, self.axon / "surrogate"
        dataset, models, folds = axon / "ground_truth.h5", surrogate / "models.h5", surrogate / "cross_validation.h5"
        predictions, metrics = surrogate / "predictions.h5", surrogate / "metrics.json"
        config = axon / "config/simulate_axons.yaml"
        self.do("simulate_axons", {"config": config, "atlas": self.atlas}, {"dataset": dataset}, write_dataset)
        self.do("train_surrogate", {"dataset": dataset}, {"models": models}, write_models)
        self.do("cross_validate_surrogate", {"dataset": dataset}, {"folds": folds}, write_folds)

        def evaluate(predictions_file: Path, metrics_file: Path) -> None:
            write_predictions(predictions_file)
            metrics_file.write_text(json.dumps(metrics_of(predictions_file, folds)))

        self.do(
            "evaluate_surrogate",
            {"dataset": dataset, "models": models, "folds": folds},
            {"predictions": predictions, "metrics": metrics},
            evaluate,
        )
        verdict = self.folder / "audit.json"
        self.do("judge_results", {"metrics": metrics}, {"audit": verdict}, self.judge, study=None)

        def write_report(html: Path, numbers: Path) -> None:
            html.write_text("<html></html>")
            numbers.write_text(json.dumps(self.report()))

        outputs = {"html": self.folder / "report.html", "json": self.folder / "report.json"}
        self.do("write_report", {"audit": verdict, "metrics": metrics}, outputs, write_report, study=None)

    def judge(self, verdict: Path) -> None:
        verdict.write_text(json.dumps(audit(self.folder, root=self.root)))

    def report(self) -> dict:
        """What report.json says of the files as they are."""
        verdict, metrics = (json.loads((self.folder / path).read_text()) for path in ("audit.json", METRICS))
        return {"audit": verdict, "studies": {"axon": metrics}}

    def copied(self, folder: Path) -> Run:
        """A copy of the results that a test may damage; code and raw data stay in their place."""
        copy = object.__new__(type(self))
        copy.root, copy.atlas = self.root, self.atlas
        copy.folder = folder / "results" / "small"
        copy.axon = copy.folder / "axon"
        shutil.copytree(self.folder, copy.folder)
        return copy

    def findings(self) -> set[tuple[str, str]]:
        """Kind and file of all failures and warnings."""
        verdict = audit(self.folder, report=True, root=self.root)
        assert all(
            entry["kind"] in KINDS and KINDS[entry["kind"]][0] == entry["severity"] for entry in verdict["findings"]
        )
        assert verdict["passed"] == ("failure" not in {entry["severity"] for entry in verdict["findings"]})
        return {(entry["kind"], entry["file"]) for entry in verdict["findings"] if entry["severity"] != "note"}

    def message(self, kind: str) -> str:
        verdict = audit(self.folder, report=True, root=self.root)
        return " ".join(entry["message"] for entry in verdict["findings"] if entry["kind"] == kind)

    def record(self, path: str) -> Path:
        return self.folder / f"{path}.prov.json"

    def rewrite(self, path: str, change: Callable[[dict], None], seal: bool = True) -> None:
        """Change a record as a forger would: with all its own hashes fitting."""
        record = json.loads(self.record(path).read_text())
        change(record)
        if seal:
            record["parameters_sha256"] = canonical_sha256(record["parameters"])
            record = sealed(record)
        self.record(path).write_text(json.dumps(record))

    def rehash(self, path: str, *records: str) -> None:
        """Put the present hash and size of ``path`` into records that name it."""
        digest, size = file_sha256(self.folder / path), (self.folder / path).stat().st_size

        def change(record: dict) -> None:
            for entry in (*record["outputs"], *record["inputs"]):
                if entry["path"] == path:
                    entry.update(sha256=digest, size=size)

        for name in records:
            self.rewrite(name, change)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    Run(folder)
    return folder


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Run:
    """A copy of the small run that a test may damage, with the raw data still in its own place."""
    shutil.copytree(made, tmp_path / "copy", dirs_exist_ok=True)
    copy = object.__new__(Run)
    copy.root, copy.folder, copy.axon = (
        tmp_path / "copy" / part for part in ("code", "results/small", "results/small/axon")
    )
    copy.atlas = made / "atlas.trk"
    return copy


DATASET = "axon/ground_truth.h5"
MODELS = "axon/surrogate/models.h5"
FOLDS = "axon/surrogate/cross_validation.h5"
PREDICTIONS = "axon/surrogate/predictions.h5"
METRICS = "axon/surrogate/metrics.json"


def test_sound_run_passes(run: Run) -> None:
    assert run.findings() == set()
    verdict = audit(run.folder, report=True, root=run.root)
    assert verdict["files"] == 8 and verdict["records"] == 6 and verdict["inputs"] == 10
    assert "PASSED" in verdict_text(verdict, "small")
    stored = json.loads((run.folder / "audit.json").read_text())
    assert stored["passed"] and stored["files"] == 5


def test_equal_runs_have_equal_verdicts(run: Run) -> None:
    assert audit(run.folder, root=run.root) == audit(run.folder, root=run.root)


@pytest.mark.parametrize("path", [DATASET, MODELS, METRICS, "report.html"])
def test_flipped_byte(run: Run, path: str) -> None:
    content = bytearray((run.folder / path).read_bytes())
    content[len(content) // 2] ^= 1
    (run.folder / path).write_bytes(content)
    assert ("changed_file", path) in run.findings()
    assert "-R " in run.message("changed_file")


def test_edited_metric(run: Run) -> None:
    metrics = json.loads((run.folder / METRICS).read_text())
    metrics["targets"]["tau_failed"]["r2"] = 0.999
    (run.folder / METRICS).write_text(json.dumps(metrics))
    kinds = {("changed_file", METRICS), ("metric_mismatch", METRICS), ("report_mismatch", "report.json")}
    assert run.findings() == kinds
    assert "targets.tau_failed.r2: says 0.999" in run.message("metric_mismatch")


def test_edited_metric_with_all_hashes_forged(run: Run) -> None:
    """Who fits the hashes too is betrayed by the predictions."""
    metrics = json.loads((run.folder / METRICS).read_text())
    metrics["baselines"]["peak"]["tau_failed"]["nrmse"] *= 2
    (run.folder / METRICS).write_text(json.dumps(metrics))
    (run.folder / "report.json").write_text(json.dumps(run.report()))
    run.rehash(METRICS, PREDICTIONS, "audit.json", "report.html")
    run.rehash("report.json", "report.html")
    assert run.findings() == {("metric_mismatch", METRICS)}


@pytest.mark.parametrize(
    "where",
    [
        "n_train",
        "n_train_groups",
        "n_heldout",
        "targets.axon_strain.coverage90",
        "subsets.random.targets.tau_failed.nrmse",
        "subsets.random.n",
        "subsets.random.groups",
        "subsets.random.flagged",
        "coverage_judgement.axon_strain.coverage",
        "coverage_judgement.axon_strain.n",
        "coverage_judgement.axon_strain.groups",
        "folds.random.0.n",
        "paired.peak.tau_failed.difference_nrmse",
        "cross_validation.grouped.axon_strain.r2",
        "folds.grouped.1.r2.axon_strain",
    ],
)
def test_every_edited_number_is_named(run: Run, where: str) -> None:
    metrics = json.loads((run.folder / METRICS).read_text())
    *parents, last = where.split(".")
    entry = metrics
    for parent in parents:
        entry = entry[int(parent) if isinstance(entry, list) else parent]
    entry[last] += 0.001
    (run.folder / METRICS).write_text(json.dumps(metrics))
    assert ("metric_mismatch", METRICS) in run.findings()
    assert f"{where}: says" in run.message("metric_mismatch")


def test_edited_report(run: Run) -> None:
    report = json.loads((run.folder / "report.json").read_text())
    report["studies"]["axon"]["n_heldout"] = 5000
    (run.folder / "report.json").write_text(json.dumps(report))
    run.rehash("report.json", "report.html")
    assert run.findings() == {("report_mismatch", "report.json")}
    assert audit(run.folder, root=run.root)["passed"]


@pytest.mark.parametrize("path", [DATASET, FOLDS, "report.html"])
def test_deleted_record(run: Run, path: str) -> None:
    program = json.loads(run.record(path).read_text())["program"]
    run.record(path).unlink()
    assert ("missing_record", path) in run.findings()
    assert f"-R {program}" in run.message("missing_record")
    assert not {"unclaimed_file", "changed_file"} & {kind for kind, _ in run.findings()}


def test_deleted_record_is_known_without_the_log_of_attempts(run: Run) -> None:
    shutil.rmtree(run.folder / ".work")
    run.record(MODELS).unlink()
    assert run.findings() == {("missing_record", MODELS)}


def test_deleted_result(run: Run) -> None:
    (run.folder / MODELS).unlink()
    assert run.findings() == {("missing_file", MODELS)}
    run.record(MODELS).unlink()
    assert run.findings() == {("missing_file", MODELS)}
    assert "-R train_surrogate" in run.message("missing_file")


def test_swapped_records(run: Run) -> None:
    one, other = run.record(MODELS), run.record(FOLDS)
    first, second = one.read_text(), other.read_text()
    one.write_text(second)
    other.write_text(first)
    assert run.findings() == {("swapped_record", f"{MODELS}.prov.json"), ("swapped_record", f"{FOLDS}.prov.json")}


def test_copied_record(run: Run) -> None:
    shutil.copy(run.record(MODELS), run.record(FOLDS))
    assert run.findings() == {("swapped_record", f"{FOLDS}.prov.json"), ("missing_record", FOLDS)}


def test_two_jobs_claim_one_result(run: Run) -> None:
    def claim(record: dict) -> None:
        record["outputs"].append(json.loads(run.record(FOLDS).read_text())["outputs"][0])

    run.rewrite(MODELS, claim)
    assert run.findings() == {("duplicate_record", FOLDS)}


def test_result_made_again_without_its_consumers(run: Run) -> None:
    with h5py.File(run.folder / MODELS, "a") as file:
        file["extra"] = 1
    run.rehash(MODELS, MODELS)
    assert run.findings() == {("broken_chain", PREDICTIONS)}
    assert "-R evaluate_surrogate" in run.message("broken_chain")


def test_forged_records(run: Run) -> None:
    run.rewrite(MODELS, lambda record: record["parameters"].update(seed=6), seal=False)
    assert run.findings() == {("forged_record", f"{MODELS}.prov.json")}
    assert "parameters" in run.message("forged_record")


def test_forged_fingerprint(run: Run) -> None:
    run.rewrite(MODELS, lambda record: record["code"].update(fingerprint="sha256:" + "0" * 64))
    assert run.findings() == {("forged_record", f"{MODELS}.prov.json")}


def test_unreadable_record(run: Run) -> None:
    run.record(MODELS).write_text("{")
    findings = run.findings()
    assert {("invalid_record", f"{MODELS}.prov.json"), ("missing_record", MODELS)} == findings


def test_unclaimed_file_is_a_warning(run: Run) -> None:
    (run.axon / "notes.txt").write_text("mine")
    (run.folder / "logs").mkdir()
    (run.folder / "logs/a.log").write_text("no result")
    (run.axon / "config/other.yaml").write_text("no result")
    assert run.findings() == {("unclaimed_file", "axon/notes.txt")}
    assert audit(run.folder, root=run.root)["passed"]


def test_unfinished_file_is_a_note(run: Run) -> None:
    (run.axon / ".ground_truth.host-1.partial.h5").write_text("half")
    assert run.findings() == set()
    assert "killed" in run.message("unfinished_file")


def test_changed_configuration(run: Run) -> None:
    (run.axon / "config/simulate_axons.yaml").write_text("seed: 6\n")
    assert run.findings() == {("changed_configuration", "axon/config/simulate_axons.yaml")}


def test_configuration_of_another_run(run: Run) -> None:
    path = run.folder / "config/configuration.yaml"
    path.write_text(path.read_text().replace("seed: 5", "seed: 6").replace("training: 6", "training: 7"))
    assert run.findings() == {("changed_configuration", "config/configuration.yaml")}
    assert "seed: found 6" in run.message("changed_configuration")
    assert "axon.impacts.training: found 7, but axon/config/simulate_axons.yaml" in run.message("changed_configuration")
    path.write_text("x")
    assert run.findings() == {("unreadable_file", "config/configuration.yaml")}


def test_result_that_nothing_needs_is_lost(run: Run) -> None:
    """The log of attempts alone knows of it."""
    for name in ("report.html", "report.json", "report.html.prov.json"):
        (run.folder / name).unlink()
    assert run.findings() == {("lost_result", "report.html"), ("lost_result", "report.json")}
    assert audit(run.folder, root=run.root)["findings"] == []  # as it is embedded in a report


def test_changed_and_absent_raw_data(run: Run) -> None:
    original = run.atlas.read_bytes()
    name = run.atlas.as_posix()
    try:
        run.atlas.write_bytes(b"others")
        assert run.findings() == {("changed_input", name)}
        run.atlas.unlink()
        assert run.findings() == {("external_absent", name)}
        assert audit(run.folder, root=run.root)["passed"]
    finally:
        run.atlas.write_bytes(original)


def test_edited_module_is_stale_not_tampered(run: Run) -> None:
    (run.root / "src/understudy/physics/train_surrogate.py").write_text("value = 2\n")
    assert run.findings() == {("stale_code", MODELS)}
    assert "src/understudy/physics/train_surrogate.py" in run.message("stale_code")
    assert audit(run.folder, root=run.root)["passed"]


def test_other_versions_are_named(run: Run) -> None:
    (run.root / "scripts/train_surrogate.py").write_text("import numpy\n")
    run.record(MODELS).unlink()
    (run.folder / MODELS).unlink()
    inputs = {"dataset": run.folder / DATASET}
    run.do("train_surrogate", inputs, {"models": run.folder / MODELS}, write_models)

    def older(record: dict) -> None:
        from understudy.provenance.fingerprint import combined

        record["code"]["versions"]["numpy"] = "1.0"
        record["code"]["fingerprint"] = combined(record["code"]["files"], record["code"]["versions"])

    run.rewrite(MODELS, older)
    assert ("stale_environment", MODELS) in run.findings()
    assert "numpy 1.0 -> " in run.message("stale_environment")


def test_commit_of_the_record_is_looked_up(tmp_path: Path) -> None:
    """Clean commit: stale code is explained by it, and a record that does not fit it is no longer only stale."""
    root = tmp_path / "code"
    write_code(root)
    git = ["git", "-C", str(root), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "code"]):
        subprocess.run([*git, *command], check=True)
    run = Run(tmp_path)
    record = json.loads(run.record(MODELS).read_text())
    assert record["code"]["dirty"] is False and len(record["code"]["commit"]) == 40
    assert run.findings() == set()
    module = root / "src/understudy/physics/train_surrogate.py"
    module.write_text("value = 2\n")
    subprocess.run([*git, "commit", "-qam", "other code"], check=True)
    assert run.findings() == {("stale_code", MODELS)}
    assert "is that of commit" in run.message("stale_code")

    def other_code(record: dict) -> None:
        from understudy.provenance.fingerprint import combined

        record["code"]["files"]["scripts/train_surrogate.py"] = "sha256:" + "0" * 64
        record["code"]["fingerprint"] = combined(record["code"]["files"], record["code"]["versions"])

    run.rewrite(MODELS, other_code)
    assert run.findings() == {("code_mismatch", MODELS)}
    run.rewrite(MODELS, lambda record: record["code"].update(dirty=True))
    assert run.findings() == {("stale_code", MODELS)}
    assert "uncommitted" in run.message("stale_code")


def test_commit_is_compared_where_the_code_is_the_present_one(tmp_path: Path) -> None:
    """A record is held to the commit that it names, also when nothing is stale."""
    root = tmp_path / "code"
    write_code(root)
    module = root / "src/understudy/physics/train_surrogate.py"
    present = module.read_text()
    git = ["git", "-C", str(root), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    commits = []
    for text in ("value = 0\n", present):
        module.write_text(text)
        for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "code"]):
            subprocess.run([*git, *command], check=True)
        head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
        commits.append(head.stdout.strip())
    run = Run(tmp_path)
    assert run.findings() == set()
    run.rewrite(MODELS, lambda record: record["code"].update(commit=commits[0]))
    assert run.findings() == {("code_mismatch", MODELS)}
    assert "the code of that commit is another; it is the present code" in run.message("code_mismatch")
    run.rewrite(MODELS, lambda record: record["code"].update(commit="0" * 40))
    assert run.findings() == {("unknown_commit", "code")}
    assert "commit 000000000000 is not here to compare with the code of: train_surrogate" in run.message(
        "unknown_commit"
    )


def test_times_out_of_order(run: Run) -> None:
    def later(record: dict) -> None:
        for name in ("start", "end"):
            record["time"][name] = (parse_time(record["time"][name]) - timedelta(hours=1)).isoformat()

    run.rewrite(PREDICTIONS, later)
    assert run.findings() == {("time_order", PREDICTIONS)}
    assert "clock skew allowed is 300 s" in run.message("time_order")


def test_small_clock_skew_is_allowed(run: Run) -> None:
    def later(record: dict) -> None:
        for name in ("start", "end"):
            record["time"][name] = (parse_time(record["time"][name]) - timedelta(minutes=2)).isoformat()

    run.rewrite(PREDICTIONS, later)
    assert run.findings() == set()


def with_new_folds(run: Run, write: Callable[[Path], None]) -> None:
    """Another cross-validation with metrics that fit it and records that fit both."""
    (run.folder / FOLDS).unlink()
    write(run.folder / FOLDS)
    metrics = metrics_of(run.folder / PREDICTIONS, run.folder / FOLDS)
    (run.folder / METRICS).write_text(json.dumps(metrics))
    (run.folder / "report.json").write_text(json.dumps(run.report()))
    run.rehash(FOLDS, FOLDS, PREDICTIONS)
    run.rehash(METRICS, PREDICTIONS, "audit.json", "report.html")
    run.rehash("report.json", "report.html")


def test_leaked_fold(run: Run) -> None:
    """One case of group 0 moved to another grouped fold."""
    fold = group_of(cases("training")) % 3
    fold[0] = 1
    with_new_folds(run, lambda path: write_folds(path, fold))
    assert run.findings() == {("leaked_fold", FOLDS)}
    assert "grouped: groups 0 are in more than one fold" in run.message("leaked_fold")


def test_case_in_two_folds(run: Run) -> None:
    def write(path: Path) -> None:
        write_folds(path)
        with h5py.File(path, "a") as file:
            file["random/case"][0] = file["random/case"][1]

    with_new_folds(run, write)
    assert run.findings() == {("leaked_fold", FOLDS), ("truth_mismatch", FOLDS)}
    assert "cases 1 are in more than one fold" in run.message("leaked_fold")


def test_heldout_group_in_the_folds(run: Run) -> None:
    def write(path: Path) -> None:
        write_folds(path)
        with h5py.File(path, "a") as file:
            file["random/group"][3] = 9

    with_new_folds(run, write)
    assert run.findings() == {("leaked_heldout", FOLDS), ("truth_mismatch", FOLDS)}


def test_models_trained_on_heldout_groups(run: Run) -> None:
    with h5py.File(run.folder / MODELS, "a") as file:
        file["roles/fitted_case"][0], file["roles/fitted_group"][0] = 59, 9
    run.rehash(MODELS, MODELS, PREDICTIONS)
    assert run.findings() == {("leaked_heldout", MODELS), ("metric_mismatch", METRICS)}


def test_models_calibrated_on_what_stopped_them(run: Run) -> None:
    with h5py.File(run.folder / MODELS, "a") as file:
        file["roles/fitted_group"][0] = 0
    run.rehash(MODELS, MODELS, PREDICTIONS)
    assert run.findings() == {("leaked_fold", MODELS), ("metric_mismatch", METRICS)}


def test_predictions_on_training_cases(run: Run) -> None:
    with h5py.File(run.folder / PREDICTIONS, "a") as file:
        file["heldout/case"][0], file["heldout/group"][0] = 0, 0
    run.rehash(PREDICTIONS, PREDICTIONS)
    kinds = {("leaked_heldout", PREDICTIONS), ("truth_mismatch", PREDICTIONS), ("metric_mismatch", METRICS)}
    assert run.findings() == kinds


def test_truncated_predictions(run: Run) -> None:
    content = (run.folder / PREDICTIONS).read_bytes()
    (run.folder / PREDICTIONS).write_bytes(content[: len(content) // 2])
    assert {("changed_file", PREDICTIONS), ("unreadable_file", PREDICTIONS)} <= run.findings()


def test_not_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        audit(tmp_path / "nothing")
    with pytest.raises(InputError, match=r"configuration\.yaml"):
        audit(tmp_path)


def test_advice_repeats_the_runs_own_configuration(run: Run) -> None:
    # After a dry run there is no other source.
    assert snakemake_arguments(run.folder) == [
        "--cores",
        "2",
        "--configfile",
        "results/small/config/configuration.yaml",
    ]
    command = {"configfiles": ["config/config.yaml", "config/demo.yaml"], "config": ["run=small"], "cores": 4}
    (run.folder / "config/command.json").write_text(json.dumps(command))
    assert snakemake_arguments(run.folder) == [
        "--cores",
        "4",
        "--configfile",
        "config/demo.yaml",
        "--config",
        "run=small",
    ]
    advice = rerun_command(run.folder, "train_surrogate")
    assert advice == "snakemake --cores 4 --configfile config/demo.yaml --config run=small -R train_surrogate"
    assert produce_command(run.folder, DATASET).startswith(f"snakemake {run.folder / DATASET} --cores 4")
    # On a cluster the profile says where jobs go; this machine's cores do not count.
    command = {"configfiles": ["config/demo.yaml"], "cores": None, "profile": "profiles/slurm"}
    (run.folder / "config/command.json").write_text(json.dumps(command))
    advice = rerun_command(run.folder, "train_surrogate")
    assert advice == "snakemake --workflow-profile profiles/slurm --configfile config/demo.yaml -R train_surrogate"


@pytest.mark.parametrize("text", ["[]", "{", "[" * 100_000, '{"configfiles": 3}', '{"config": [3]}', '{"profile": []}'])
def test_advice_without_options_where_they_cannot_be_read(run: Run, text: str) -> None:
    """How the run was started is no result: without it the audit still ends with a verdict."""
    (run.folder / "config/command.json").write_text(text)
    with pytest.raises(InputError, match=r"command\.json.*`snakemake -n` writes it again"):
        snakemake_arguments(run.folder)
    (run.folder / MODELS).unlink()
    assert run.findings() == {("missing_file", MODELS)}
    assert "snakemake -R train_surrogate" in run.message("missing_file")
    assert produce_command(run.folder, DATASET) == f"snakemake {run.folder / DATASET}"


@pytest.mark.parametrize(
    "changes",
    [
        {"time": 5},
        {"program": None},
        {"outputs": ["axon/a"]},
        {"outputs": [{"path": None}]},
        {"outputs": "axon/a"},
        {"event": "start", "outputs": [5]},
        {"event": "start", "process": {"pid": 1}},
        {"event": "start", "workflow": "1"},
    ],
)
def test_line_of_another_form_in_the_log_of_attempts(run: Run, changes: dict) -> None:
    """Lines before and after it still count."""
    path = run.folder / ".work/attempts/train_surrogate.jsonl"
    known = read_attempts(run.folder / ".work")
    line = {
        "event": "end",
        "job": "x",
        "program": "train_surrogate",
        "time": known[-1]["time"],
        "outputs": [],
    } | changes
    path.write_text(f"{json.dumps(line)}\n{'[' * 100_000}\n{path.read_text()}{json.dumps(line)}\n")
    assert read_attempts(run.folder / ".work") == known
    run.record(MODELS).unlink()
    assert run.findings() == {("missing_record", MODELS)}


@pytest.mark.parametrize("name", [MODELS, "axon/config/simulate_axons.yaml", "atlas.trk"])
def test_file_that_may_not_be_read(run: Run, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read = run_folder._digest

    def refused(path: Path, *status: int) -> str:
        if path.as_posix().endswith(name):
            raise PermissionError(errno.EACCES, "Permission denied")
        return read(path, *status)

    monkeypatch.setattr(run_folder, "_digest", refused)
    path = run.atlas.as_posix() if name == "atlas.trk" else name
    assert ("unreadable_file", path) in run.findings()
    assert "Permission denied" in run.message("unreadable_file")


def test_published_results_are_verified_absent_or_failed(run: Run, tmp_path: Path) -> None:
    folder = publish(run.folder, "axon", tmp_path / "reference", run.root)
    assert (folder / "report.html").is_file() and (folder / "surrogate/models.h5").is_file()
    assert not (folder / "ground_truth.h5").exists()
    verdict = audit_reference(folder, run.root)
    assert verdict["passed"], verdict["findings"]
    assert verdict["states"].pop(DATASET) == "absent by design"
    assert set(verdict["states"].values()) == {"verified"}
    assert {METRICS, MODELS, PREDICTIONS, "report.html", "audit.json"} <= set(verdict["states"])

    (folder / "surrogate/models.h5").write_bytes(b"other")
    (folder / "surrogate/metrics.json.extra").write_text("unknown")
    verdict = audit_reference(folder, run.root)
    assert not verdict["passed"]
    assert {path for path, state in verdict["states"].items() if state == "failed"} == {MODELS}
    assert ("unclaimed_file", "surrogate/metrics.json.extra") in {(f["kind"], f["file"]) for f in verdict["findings"]}


def test_a_file_put_where_it_is_absent_by_design_is_compared(run: Run, tmp_path: Path) -> None:
    folder = publish(run.folder, "axon", tmp_path / "reference", run.root)
    shutil.copyfile(run.folder / DATASET, folder / "ground_truth.h5")
    verdict = audit_reference(folder, run.root)
    assert verdict["passed"] and verdict["states"][DATASET] == "verified"
    (folder / "ground_truth.h5").write_bytes(b"other")
    verdict = audit_reference(folder, run.root)
    assert not verdict["passed"] and verdict["states"][DATASET] == "failed"


def test_what_is_always_kept_is_not_absent_by_design(run: Run, tmp_path: Path) -> None:
    folder = publish(run.folder, "axon", tmp_path / "reference", run.root)
    listing = json.loads((folder / "absent.json").read_text())
    listing["absent"][METRICS] = {"sha256": listing["present"].pop(METRICS), "size": 1}
    (folder / "absent.json").write_text(json.dumps(listing))
    (folder / "surrogate/metrics.json").unlink()
    assert audit_reference(folder, run.root)["states"][METRICS] == "failed"


@pytest.mark.parametrize("key", ["study", "run", "present", "absent", "records", "configuration", "crate"])
@pytest.mark.parametrize("value", [5, [1], {"../up": "x"}, {"x": 1}])
def test_list_of_a_wrong_form_is_refused(run: Run, tmp_path: Path, key: str, value: object) -> None:
    folder = publish(run.folder, "axon", tmp_path / "reference", run.root)
    listing = json.loads((folder / "absent.json").read_text())
    (folder / "absent.json").write_text(json.dumps({**listing, key: value}))
    with pytest.raises(InputError, match=rf"absent\.json: {key}: "):
        audit_reference(folder, run.root)


def test_a_list_in_a_run_does_not_stand_for_it(run: Run) -> None:
    (run.folder / MODELS).write_bytes(b"other")
    assert reference_folders(run.folder) == []
    for place in (run.folder / "stray", run.folder):
        place.mkdir(exist_ok=True)
        listing = {"present": {}, "absent": {}, "records": [], "configuration": [], "study": None, "run": "x"}
        (place / "absent.json").write_text(json.dumps({"schema": "understudy-reference/1", **listing}))
        assert reference_folders(run.folder) == []
        assert ("unclaimed_file", (place / "absent.json").relative_to(run.folder).as_posix()) in run.findings()


def test_published_record_gone(run: Run, tmp_path: Path) -> None:
    folder = publish(run.folder, "axon", tmp_path / "reference", run.root)
    (folder / "surrogate/cross_validation.h5.prov.json").unlink()
    verdict = audit_reference(folder, run.root)
    assert verdict["states"][FOLDS] == "failed"
    assert "missing_record" in {entry["kind"] for entry in verdict["findings"]}


def test_publishing_again_replaces(run: Run, tmp_path: Path) -> None:
    folder = publish(run.folder, "axon", tmp_path / "reference", run.root)
    (folder / "old.txt").touch()
    assert publish(run.folder, "axon", tmp_path / "reference", run.root) == folder
    assert not (folder / "old.txt").exists()
    assert [path.name for path in (tmp_path / "reference").iterdir()] == ["axon"]


def test_only_clean_runs_with_that_study_are_published(run: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'tms'.*axon"):
        publish(run.folder, "tms", tmp_path / "reference", run.root)
    (run.folder / MODELS).write_bytes(b"other")
    with pytest.raises(InputError, match=r"(?s)audit failed.*changed_file"):
        publish(run.folder, "axon", tmp_path / "reference", run.root)
    assert not (tmp_path / "reference" / "axon").exists()


def test_command_prints_a_verdict_and_sets_the_status(run: Run) -> None:
    command = [sys.executable, "-c", "from understudy.cli import main; main()", "audit", str(run.folder)]
    sound = subprocess.run(command, capture_output=True, text=True)
    # The programs of this small run are not those of the repository: stale, not tampered.
    assert sound.returncode == 0 and "PASSED" in sound.stdout, sound.stderr
    (run.folder / MODELS).write_bytes(b"other")
    failed = subprocess.run([*command, "--json"], capture_output=True, text=True)
    assert failed.returncode == 1
    assert "changed_file" in {entry["kind"] for entry in json.loads(failed.stdout)["findings"]}
    (run.folder / os.fsdecode(b"stray\xff.json")).touch()
    strict = {**os.environ, "PYTHONIOENCODING": "utf-8:strict"}
    stray = subprocess.run(command, capture_output=True, text=True, env=strict)
    assert stray.returncode == 1 and "unclaimed_file  stray\\udcff.json" in stray.stdout
    refused = subprocess.run([*command[:-1], str(run.folder / "nothing")], capture_output=True, text=True)
    assert refused.returncode == 2 and refused.stderr.startswith("error: ")


def test_record_of_a_run_is_rewritten_only_by_forgers(run: Run) -> None:
    """`Run.rewrite` without a change leaves a record that the audit accepts: the tests above see their own damage."""
    run.rewrite(MODELS, lambda record: None)
    write_record(run.record(FOLDS), json.loads(run.record(FOLDS).read_text()))
    assert run.findings() == set()
