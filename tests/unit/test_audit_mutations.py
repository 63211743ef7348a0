"""Damage of every kind of file and every field of a record: each is found, and named for what it is.

`test_audit` has the damage that needs a story (swapped records, leaked folds, forged metrics); this goes through all
files and all fields one by one.
"""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from test_audit import DATASET, FOLDS, METRICS, MODELS, PREDICTIONS, Run, write_dataset

from understudy.errors import InputError
from understudy.provenance.fingerprint import combined
from understudy.provenance.record import parse_time, read_record, sealed
from understudy.provenance.reference import audit_reference, publish

FIGURE = "axon/figures/lead.png"
VOLUME = "axon/maps/direct.nii.gz"
LIBRARY = "axon/mechanisms/libnrnmech.so"
FILES = (
    DATASET,
    MODELS,
    FOLDS,
    PREDICTIONS,
    METRICS,
    FIGURE,
    VOLUME,
    LIBRARY,
    "audit.json",
    "report.html",
    "report.json",
)
LOCK = "envs/requirements.lock"


class RunOfAllKinds(Run):
    """The small run with a picture, a volume and a compiled library, under a lock."""

    def make(self) -> None:
        (self.root / LOCK).parent.mkdir()
        (self.root / LOCK).write_text("numpy==2\n")
        others = [self.folder / name for name in (FIGURE, VOLUME, LIBRARY)]

        def write(figure: Path, volume: Path, library: Path) -> None:
            figure.write_bytes(b"\x89PNG" + bytes(range(64)))
            volume.write_bytes(gzip.compress(bytes(100), mtime=0))
            library.write_bytes(b"\x7fELF" + bytes(range(64)))

        config = {"config": self.axon / "config/simulate_axons.yaml"}
        self.do("simulate_axons", config, dict(zip(("figure", "volume", "library"), others, strict=True)), write)
        super().make()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> RunOfAllKinds:
    return RunOfAllKinds(tmp_path_factory.mktemp("all_kinds"))


@pytest.fixture
def run(made: RunOfAllKinds, tmp_path: Path) -> RunOfAllKinds:
    """A copy that a test may damage, its code too."""
    copy = made.copied(tmp_path)
    copy.root = shutil.copytree(made.root, tmp_path / "code")
    return copy


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0x10
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\n")


def empty(path: Path) -> None:
    path.write_bytes(b"")


def test_undamaged_run_is_clean(run: RunOfAllKinds) -> None:
    assert run.findings() == set()
    listed = {path for path in FILES if (run.folder / path).is_file()}
    results = {
        path.relative_to(run.folder).as_posix()
        for path in run.folder.rglob("*")
        if path.is_file() and not path.name.endswith(".prov.json") and not {"config", ".work"} & set(path.parts)
    }
    assert listed == set(FILES) == results, "every file of the run is gone through below"


@pytest.mark.parametrize("damage", [flip, cut, lengthen, empty])
@pytest.mark.parametrize("path", FILES)
def test_damaged_file(run: RunOfAllKinds, path: str, damage: Callable[[Path], None]) -> None:
    damage(run.folder / path)
    found = run.findings()
    assert ("changed_file", path) in found
    assert {file for kind, file in found if kind == "changed_file"} == {path}
    # What else is said is about numbers in that file, never about files or records that are sound.
    assert {kind for kind, _ in found} <= {"changed_file", "unreadable_file", "metric_mismatch", "report_mismatch"} | (
        {"leaked_fold", "leaked_heldout", "truth_mismatch"} if path.endswith(".h5") else set()
    )


@pytest.mark.parametrize("path", FILES)
def test_removed_file(run: RunOfAllKinds, path: str) -> None:
    (run.folder / path).unlink()
    assert run.findings() == {("missing_file", path)}


@pytest.mark.parametrize("path", [DATASET, MODELS, FOLDS, PREDICTIONS, FIGURE, "report.html"])
def test_removed_record(run: RunOfAllKinds, path: str) -> None:
    """Records lie beside the first output of a job; all its outputs are named."""
    claimed = {entry["path"] for entry in json.loads(run.record(path).read_text())["outputs"]}
    run.record(path).unlink()
    assert run.findings() == {("missing_record", name) for name in claimed}


def test_two_files_exchanged(run: RunOfAllKinds) -> None:
    one, other = run.folder / FIGURE, run.folder / VOLUME
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    assert run.findings() == {("changed_file", FIGURE), ("changed_file", VOLUME)}


def test_damaged_stage_file(run: RunOfAllKinds) -> None:
    flip(run.axon / "config/simulate_axons.yaml")
    assert run.findings() == {("changed_configuration", "axon/config/simulate_axons.yaml")}


def test_flipped_byte_of_a_record(run: RunOfAllKinds) -> None:
    """Wherever it hits: no byte of a record's content is free."""
    text = run.record(DATASET).read_bytes()
    for position in range(200, len(text), len(text) // 12):
        content = bytearray(text)
        if chr(content[position]).isspace():
            position += 1
        content[position] ^= 1
        run.record(DATASET).write_bytes(content)
        kinds = {kind for kind, _ in run.findings()}
        assert kinds & {"forged_record", "invalid_record"}, position


def test_changed_lock(run: RunOfAllKinds) -> None:
    (run.root / LOCK).write_text("numpy==1\n")
    assert run.findings() == {("changed_lock", LOCK)}
    assert "simulate_axons, train_surrogate" in run.message("changed_lock")


def edits() -> dict[str, Callable[[dict], Any]]:
    """One edit of each field of a record; none of them is sealed anew."""
    later = (parse_time("2026-01-01T00:00:00+00:00") + timedelta(hours=1)).isoformat()
    return {
        "job": lambda record: record.update(job="another"),
        "program": lambda record: record.update(program="cross_validate_surrogate"),
        "study": lambda record: record.update(study="tms"),
        "outputs.size": lambda record: record["outputs"][0].update(size=1),
        "outputs.name": lambda record: record["outputs"][0].update(name="other"),
        "inputs.size": lambda record: record["inputs"][0].update(size=1),
        "inputs.kind": lambda record: record["inputs"][0].update(kind="external"),
        "inputs.producer": lambda record: record["inputs"][0]["producer"].update(program="other"),
        "parameters": lambda record: record["parameters"].update(seed=6),
        "parameters_sha256": lambda record: record.update(parameters_sha256="0" * 64),
        "command": lambda record: record["command"].append("--overwrite"),
        "code.commit": lambda record: record["code"].update(commit="0" * 40),
        "code.dirty": lambda record: record["code"].update(dirty=not record["code"]["dirty"]),
        "code.fingerprint": lambda record: record["code"].update(fingerprint="sha256:" + "0" * 64),
        "code.files": lambda record: record["code"]["files"].popitem(),
        "code.versions": lambda record: record["code"]["versions"].update(numpy="1.0"),
        "environment.locks": lambda record: record["environment"]["locks"].update({LOCK: "0" * 64}),
        "environment.distributions": lambda record: record["environment"]["distributions"].update(numpy="1.0"),
        "environment.processor": lambda record: record["environment"].update(processor="other"),
        "notes": lambda record: record["notes"].update(mpi=3),
        "seed": lambda record: record["seed"].update(root=6),
        "time.start": lambda record: record["time"].update(start=later),
        "time.cpu_s": lambda record: record["time"].update(cpu_s=0.0),
        "digest": lambda record: record.update(digest="0" * 64),
    }


@pytest.mark.parametrize("field", edits())
def test_edited_field_of_a_record(run: RunOfAllKinds, field: str) -> None:
    run.rewrite(MODELS, edits()[field], seal=False)
    assert ("forged_record", f"{MODELS}.prov.json") in run.findings()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda record: record.update(schema="other/1"), "schema: found 'other/1'"),
        (lambda record: record.update(status="failed"), "status: found 'failed'"),
        (lambda record: record.update(outputs=[]), "outputs: found none"),
        (lambda record: record.update(extra=1), "unknown keys: extra"),
        (lambda record: record.pop("seed"), "seed: missing"),
        (lambda record: record["outputs"][0].update(sha256="0"), "outputs.sha256"),
        (lambda record: record["inputs"][0].pop("producer"), "inputs.producer"),
        (lambda record: record["time"].update(end="2026-01-01T00:00:00"), "no time zone"),
        (lambda record: record["code"].pop("files"), "code.files"),
        (lambda record: record.update(program="../other"), "program: found '../other'"),
        (lambda record: record.update(command=[]), "command: found []"),
        (lambda record: record.update(command=[None]), "command: found [None]"),
        (lambda record: record["inputs"][0]["producer"].pop("program"), "inputs.producer"),
        (lambda record: record["inputs"][0].update(size=-1), "inputs.size: found -1"),
        (lambda record: record["outputs"][0].update(size=True), "outputs.size: found True"),
        (lambda record: record["outputs"].append({**record["outputs"][0], "sha256": "0" * 64}), "2 times"),
        (lambda record: record["outputs"][0].update(path="../../../etc/hostname"), "outputs.path"),
        (lambda record: record["outputs"][0].update(path="/etc/hostname"), "outputs.path"),
        (lambda record: record["outputs"][0].update(path="axon/\0"), "outputs.path"),
        (lambda record: record["inputs"][0].update(path="repository:../other"), "inputs.path"),
        (lambda record: record["environment"].update(locks=None), "environment.locks: found None"),
        (lambda record: record["environment"].update(locks="none"), "environment.locks"),
        (lambda record: record["environment"].update(locks={"../lock": "0" * 64}), "environment.locks"),
        (lambda record: record["environment"].pop("distributions"), "environment.distributions: found None"),
        (lambda record: record["environment"].update(processor=1), "environment.processor: found 1"),
        (lambda record: record["environment"].update(mpi={"size": 2}), "environment.mpi"),
        (lambda record: record["environment"].update(torch=[]), "environment.torch"),
        (lambda record: record["environment"].update(slurm={"SLURM_NTASKS": 2}), "environment.slurm"),
        (lambda record: record["code"].update(commit=[]), "code.commit: found []"),
        (lambda record: record["code"].update(commit="HEAD"), "code.commit: found 'HEAD'"),
        (lambda record: record["code"].pop("dirty"), "code.dirty: missing"),
        (lambda record: record["code"].update(dirty="no"), "code.dirty: found 'no'"),
        (lambda record: record["code"].update(files={"a": 1}), "code.files"),
        (lambda record: record["seed"].update(root="5"), "seed: found"),
        (lambda record: record["seed"].pop("derivation"), "seed: found"),
        (lambda record: record["time"].update(start="9999-12-31T23:59:59+00:00"), "years 1970 to 2200"),
        (lambda record: record["time"].update(cpu_s=-1.0), "time.cpu_s: found -1.0"),
        (lambda record: record["time"].pop("peak_memory_bytes"), "time.peak_memory_bytes: found None"),
    ],
)
def test_field_of_a_wrong_form(run: RunOfAllKinds, change: Callable[[dict], Any], problem: str) -> None:
    run.rewrite(MODELS, change)
    assert ("invalid_record", f"{MODELS}.prov.json") in run.findings()
    assert problem in run.message("invalid_record")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            lambda text: text.replace("{", '{"seed": {"root": 1, "derivation": "none"}, "program": "other",', 1),
            "repeat",
        ),
        (lambda text: text.replace('"seed": 5', '"seed": 5, "seed": 5', 1), "repeated keys: seed"),
        (lambda text: text.replace('"seed": 5', '"seed": NaN', 1), "found NaN, accepted are finite numbers"),
        (lambda text: text.replace('"seed": 5', '"seed": -Infinity', 1), "found -Infinity"),
        (lambda text: text.replace('"seed": 5', '"seed": 1e999', 1), "found 1e999"),
        (lambda text: text.replace('"seed": 5', '"seed": ' + "[" * 80 + "]" * 80, 1), "nests too deeply"),
        (lambda text: "[" * 100_000, "nests too deeply"),
        (lambda text: text.replace(MODELS, f"{MODELS}\\ud800"), "surrogates not allowed"),
    ],
)
def test_text_that_can_be_read_in_two_ways_or_in_none(
    run: RunOfAllKinds, change: Callable[[str], str], problem: str
) -> None:
    text = run.record(MODELS).read_text()
    assert change(text) != text
    run.record(MODELS).write_text(change(text))
    assert ("invalid_record", f"{MODELS}.prov.json") in run.findings()
    assert problem in run.message("invalid_record")
    with pytest.raises(InputError, match=r"prov\.json"):
        read_record(run.record(MODELS))


def _without_stage_file(record: dict) -> None:
    """Other keys than those of the stage file, which the command still names."""
    record["command"].append(f"--config=results:{record['inputs'].pop(0)['path']}")
    record["parameters"]["seed"] = record["seed"]["root"] = 6


def _other_code(record: dict) -> None:
    record["code"]["files"].pop("scripts/simulate_axons.py")
    record["code"]["fingerprint"] = combined(record["code"]["files"], record["code"]["versions"])


@pytest.mark.parametrize(
    ("change", "kind", "word"),
    [
        (lambda record: record["parameters"].update(seed=6), "forged_record", "its stage file axon/config"),
        (lambda record: record["seed"].update(root=6), "forged_record", "seed.root: says 6, its parameters say 5"),
        (lambda record: record.update(seed=None), "forged_record", "seed.root: says None, its parameters say 5"),
        (lambda record: record["outputs"][0].update(size=1), "forged_record", "says 1 bytes, found"),
        (lambda record: record["inputs"][0].update(size=1), "forged_record", "axons.yaml: says 1 bytes, found 43"),
        (lambda record: record["inputs"][1].update(size=1), "forged_record", "atlas.trk: says 1 bytes, found"),
        (_without_stage_file, "forged_record", "its command names axon/config/simulate_axons.yaml, which is not"),
        (
            lambda record: record.update(command=["python", "scripts/train_surrogate.py", f"results:{DATASET}"]),
            "forged_record",
            "names program simulate_axons, its command runs train_surrogate",
        ),
        (
            lambda record: record.update(command=["python", "repository:scripts/simulate_axons.py"]),
            "forged_record",
            f"its command does not name its output {DATASET}",
        ),
        (lambda record: record.update(study="tms"), "forged_record", "names study tms"),
        (_other_code, "forged_record", "no scripts/simulate_axons.py among the files"),
        (lambda record: record["command"].append(f"results:{MODELS}"), "forged_record", "is not among its inputs"),
        (lambda record: record["code"]["versions"].update(numpy="1.0"), "forged_record", "fingerprint is not that"),
        (lambda record: record["environment"]["locks"].update({LOCK: "0" * 64}), "changed_lock", "these ran"),
    ],
)
def test_field_that_a_forger_sealed_anew(
    run: RunOfAllKinds, change: Callable[[dict], Any], kind: str, word: str
) -> None:
    """All hashes of the record fit; it is betrayed by its stage file, its results or its own other parts."""
    run.rewrite(DATASET, change)
    record = json.loads(run.record(DATASET).read_text())
    assert sealed(record)["digest"] == record["digest"]
    assert (kind, LOCK if kind == "changed_lock" else f"{DATASET}.prov.json") in run.findings()
    assert word in run.message(kind)


def test_output_claimed_with_another_hash(run: RunOfAllKinds) -> None:
    run.rewrite(FIGURE, lambda record: record["outputs"][0].update(sha256="0" * 64))
    assert run.findings() == {("changed_file", FIGURE)}


def test_input_claimed_with_another_hash(run: RunOfAllKinds) -> None:
    run.rewrite(MODELS, lambda record: record["inputs"][0].update(sha256="0" * 64))
    assert run.findings() == {("broken_chain", MODELS)}


def _relabelled(kind: str) -> Callable[[dict], Any]:
    def change(record: dict) -> None:
        record["inputs"][0].pop("producer")
        record["inputs"][0]["kind"] = kind

    return change


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (_relabelled("external"), f"calls its input {DATASET} external, but it is a result"),
        (_relabelled("configuration"), f"calls its input {DATASET} configuration, but it is a result"),
        (lambda record: record["inputs"][0].update(size=1), f"{DATASET}: says 1 bytes, {DATASET}.prov.json says"),
        (
            lambda record: record["inputs"][0]["producer"].update(program="other"),
            "producer.program says other, not sim",
        ),
        (
            lambda record: record["inputs"][0]["producer"].update(record="other"),
            "producer.record says other, not axon/",
        ),
        (lambda record: record["inputs"][0]["producer"].update(job="other"), "no such job is in the log of attempts"),
    ],
)
def test_input_that_a_forger_sealed_anew(run: RunOfAllKinds, change: Callable[[dict], Any], word: str) -> None:
    """The producer's own record betrays what is said of an input."""
    run.rewrite(MODELS, change)
    assert run.findings() == {("forged_record", f"{MODELS}.prov.json")}
    assert word in run.message("forged_record")


def test_producer_that_another_job_was_before(run: RunOfAllKinds) -> None:
    """Without a log of attempts: the job whose record was there would have been named."""

    def earlier(record: dict) -> None:
        for name in ("start", "end"):
            record["time"][name] = (parse_time(record["time"][name]) - timedelta(hours=1)).isoformat()

    shutil.rmtree(run.folder / ".work")
    run.rewrite(MODELS, lambda record: record["inputs"][0]["producer"].update(job="other"))
    assert run.findings() == set(), "it may have been made again since, on a host with another clock"
    run.rewrite(DATASET, earlier)
    assert run.findings() == {("forged_record", f"{MODELS}.prov.json")}
    assert "had made it before" in run.message("forged_record")


def test_input_that_was_made_again_with_equal_bytes(run: RunOfAllKinds) -> None:
    before = json.loads(run.record(DATASET).read_text())
    (run.folder / DATASET).unlink()
    config = run.axon / "config/simulate_axons.yaml"
    outputs = {"dataset": run.folder / DATASET}
    run.do("simulate_axons", {"config": config, "atlas": run.atlas}, outputs, write_dataset)
    assert json.loads(run.record(DATASET).read_text())["job"] != before["job"]
    assert run.findings() == set()


def test_stage_file_with_a_value_that_no_record_holds(run: RunOfAllKinds) -> None:
    config = "axon/config/simulate_axons.yaml"
    (run.folder / config).write_text("seed: 2026-01-01\n")
    run.rehash(config, DATASET, FIGURE)
    assert run.findings() == {("forged_record", f"{name}.prov.json") for name in (DATASET, FIGURE)}
    assert "its stage file axon/config/simulate_axons.yaml says datetime.date" in run.message("forged_record")


def test_folder_in_a_command_is_no_input(run: RunOfAllKinds) -> None:
    run.rewrite("audit.json", lambda record: record["command"].extend(["--run", "results:.", "results:axon"]))
    assert run.findings() == set()


def test_command_of_a_published_report(run: RunOfAllKinds, tmp_path: Path) -> None:
    """It may name files of other studies of the run, which are published elsewhere, but none that is at hand."""
    run.rewrite("audit.json", lambda record: record["command"].append("results:."))
    folder = publish(run.folder, "axon", tmp_path / "reference", run.root)
    path = folder / "audit.json.prov.json"

    def contradictions(word: str) -> list[str]:
        record = json.loads(path.read_text())
        record["command"].append(word)
        path.write_text(json.dumps(sealed(record)))
        found = audit_reference(folder, run.root)["findings"]
        return [entry["message"] for entry in found if entry["severity"] == "failure"]

    assert contradictions("results:tms/surrogate/metrics.json") == []
    (message,) = contradictions("results:axon/config/simulate_axons.yaml")
    assert "its command names axon/config/simulate_axons.yaml" in message
