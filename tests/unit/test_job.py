"""Jobs: checked inputs, outputs whole or absent, records, attempts, and errors that say what to do."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from understudy.errors import InputError
from understudy.provenance import attempts
from understudy.provenance.fingerprint import fingerprint
from understudy.provenance.job import job
from understudy.provenance.record import forgery_of, read_record
from understudy.provenance.run_folder import file_sha256


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Code with two programs."""
    folder = tmp_path / "code"
    for name in ("scripts/simulate_things.py", "scripts/sum_things.py", "src/understudy/shared.py"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("from understudy import shared\n\nprint(shared)\n")
    return folder


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """An empty run with one stage file."""
    folder = tmp_path / "results" / "small"
    for name in ("config/configuration.yaml", "axon/config/simulate_things.yaml"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("seed: 5\n")
    return folder


def simulate(run_folder: Path, root: Path, text: str = "data", **changes):
    """One small job."""
    arguments = {
        "program": "simulate_things",
        "inputs": {"config": run_folder / "axon/config/simulate_things.yaml"},
        "outputs": {"things": run_folder / "axon/things.txt", "notes": run_folder / "axon/notes.json"},
        "parameters": {"seed": 5, "sizes": (1, 2)},
        "seed": 5,
        "study": "axon",
        "root": root,
    } | changes
    with job(**arguments) as this:
        for name in arguments["outputs"]:
            this.temporary(name).write_text(text)
        this.note("mpi", {"size": 2})
    return this


def sum_up(run_folder: Path, root: Path, **changes) -> None:
    inputs = {"things": run_folder / "axon/things.txt"}
    outputs = {"sum": run_folder / "axon/sum.txt"}
    simulate(run_folder, root, **({"program": "sum_things", "inputs": inputs, "outputs": outputs} | changes))


def lines(run_folder: Path, program: str) -> list[dict]:
    path = run_folder / ".work/attempts" / f"{program}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


def leftovers(run_folder: Path) -> list[str]:
    return [path.name for path in (run_folder / "axon").iterdir() if path.is_file()]


def test_record_answers_an_auditor(run_folder: Path, root: Path) -> None:
    this = simulate(run_folder, root)
    record = read_record(run_folder / "axon/things.txt.prov.json")
    assert forgery_of(record) is None
    assert sorted(leftovers(run_folder)) == ["notes.json", "things.txt", "things.txt.prov.json"]
    assert record["job"] == this.id
    assert [entry["path"] for entry in record["outputs"]] == ["axon/things.txt", "axon/notes.json"]
    assert record["outputs"][0]["sha256"] == file_sha256(run_folder / "axon/things.txt")
    assert record["outputs"][0]["size"] == 4
    (config,) = record["inputs"]
    assert (config["path"], config["kind"]) == ("axon/config/simulate_things.yaml", "configuration")
    assert this.input_hashes == {"config": config["sha256"]}
    assert record["parameters"] == {"seed": 5, "sizes": [1, 2]}
    assert record["code"]["fingerprint"] == fingerprint("simulate_things", root=root) == this.code
    assert set(record["code"]["files"]) == {"scripts/simulate_things.py", "src/understudy/shared.py"}
    assert record["environment"]["distributions"]["numpy"]
    assert record["environment"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert record["seed"]["root"] == 5
    assert record["notes"] == {"mpi": {"size": 2}}
    assert record["time"]["peak_memory_bytes"] > 2**20
    assert record["time"]["start"] <= record["time"]["end"]
    assert not any(str(run_folder.parent) in part for part in record["command"])


def test_attempts_log_start_end_and_error(run_folder: Path, root: Path) -> None:
    simulate(run_folder, root)
    start, end = lines(run_folder, "simulate_things")
    assert (start["event"], end["event"]) == ("start", "end")
    assert start["process"]["pid"] == os.getpid()
    assert end["outputs"][0]["path"] == "axon/things.txt"
    with (
        pytest.raises(ZeroDivisionError),
        job(
            program="sum_things", inputs={}, outputs={"sum": run_folder / "axon/sum.txt"}, parameters={}, root=root
        ) as this,
    ):
        this.temporary("sum").write_text("half")
        1 / 0  # noqa: B018
    assert [line["event"] for line in lines(run_folder, "sum_things")] == ["start", "error"]
    assert "ZeroDivisionError" in lines(run_folder, "sum_things")[1]["error"]
    assert "sum.txt" not in leftovers(run_folder) and len(leftovers(run_folder)) == 3
    assert attempts.open_attempts(run_folder / ".work") == []


def test_input_of_another_job_is_traced(run_folder: Path, root: Path) -> None:
    first = simulate(run_folder, root)
    sum_up(run_folder, root)
    (entry,) = read_record(run_folder / "axon/sum.txt.prov.json")["inputs"]
    assert entry["kind"] == "result"
    assert entry["producer"] == {
        "job": first.id,
        "program": "simulate_things",
        "record": "axon/things.txt.prov.json",
    }


def test_second_output_finds_its_record_too(run_folder: Path, root: Path) -> None:
    simulate(run_folder, root)
    sum_up(run_folder, root, inputs={"notes": run_folder / "axon/notes.json"})
    (entry,) = read_record(run_folder / "axon/sum.txt.prov.json")["inputs"]
    assert entry["producer"]["record"] == "axon/things.txt.prov.json"


def test_changed_input_is_refused(run_folder: Path, root: Path) -> None:
    simulate(run_folder, root)
    things = run_folder / "axon/things.txt"
    expected = file_sha256(things)
    things.write_text("dota")
    with pytest.raises(InputError) as caught:
        sum_up(run_folder, root)
    message = str(caught.value)
    assert "axon/things.txt" in message and expected in message and file_sha256(things) in message
    assert "-R simulate_things" in message
    assert not (run_folder / "axon/sum.txt").exists()


def test_missing_and_unrecorded_inputs_are_refused_with_the_command(run_folder: Path, root: Path) -> None:
    with pytest.raises(InputError, match=r"things\.txt: no such file.*snakemake .*things\.txt"):
        sum_up(run_folder, root)
    (run_folder / "axon/things.txt").write_text("by hand")
    with pytest.raises(InputError, match=r"no provenance record.*snakemake .*things\.txt"):
        sum_up(run_folder, root)
    simulate(run_folder, root, overwrite=True)
    (run_folder / "axon/things.txt.prov.json").write_text("{}")
    with pytest.raises(InputError, match=r"prov\.json.*--force"):
        sum_up(run_folder, root)


def test_external_files_and_folders_need_no_record(tmp_path: Path, run_folder: Path, root: Path) -> None:
    atlas = tmp_path / "atlas"
    atlas.mkdir()
    (atlas / "a.csv").write_text("1")
    sum_up(run_folder, root, inputs={"all": [atlas, atlas / "a.csv"]})
    entries = read_record(run_folder / "axon/sum.txt.prov.json")["inputs"]
    assert [(entry["name"], entry["kind"]) for entry in entries] == [("all.0", "external"), ("all.1", "external")]
    (atlas / "b.csv").write_text("2")
    assert file_sha256(atlas) != entries[0]["sha256"]


def test_other_code_than_the_workflow_expects_is_refused(run_folder: Path, root: Path) -> None:
    code = fingerprint("simulate_things", root=root)
    (root / "src/understudy/shared.py").write_text("changed = 1\n")
    with pytest.raises(InputError, match=code):
        simulate(run_folder, root, code=code)
    simulate(run_folder, root, code=fingerprint("simulate_things", root=root))


def test_outputs_are_never_replaced_unasked(run_folder: Path, root: Path) -> None:
    simulate(run_folder, root)
    with pytest.raises(InputError, match=r"things\.txt: exists.*--overwrite"):
        simulate(run_folder, root, text="new")
    assert (run_folder / "axon/things.txt").read_text() == "data"
    simulate(run_folder, root, text="new", overwrite=True)
    assert (run_folder / "axon/things.txt").read_text() == "new"
    record = read_record(run_folder / "axon/things.txt.prov.json")
    assert record["outputs"][0]["sha256"] == file_sha256(run_folder / "axon/things.txt")


def test_output_outside_the_run_is_refused(run_folder: Path, root: Path, tmp_path: Path) -> None:
    """Records name results by their place in the run."""
    outputs = {"things": run_folder / "axon/things.txt", "notes": tmp_path / "notes.json"}
    with pytest.raises(InputError, match=r"notes\.json: lies outside .*small; accepted for output 'notes'"):
        simulate(run_folder, root, outputs=outputs)
    assert not outputs["things"].exists()


def test_results_folder_that_cannot_be_written(run_folder: Path, root: Path) -> None:
    (run_folder / "blocked").write_text("a file where a folder should be")
    with pytest.raises(InputError, match="blocked: cannot be written"):
        simulate(run_folder, root, outputs={"things": run_folder / "blocked" / "things.txt"})


def test_forgotten_output_leaves_nothing(run_folder: Path, root: Path) -> None:
    outputs = {"a": run_folder / "axon/a.txt", "b": run_folder / "axon/b.txt"}
    with (
        pytest.raises(RuntimeError, match="'b' was not written"),
        job(program="sum_things", inputs={}, outputs=outputs, parameters={}, root=root) as this,
    ):
        this.temporary("a").write_text("only one")
    assert leftovers(run_folder) == []


def test_leftovers_of_dead_processes_are_removed(run_folder: Path, root: Path) -> None:
    simulate(run_folder, root)
    temporary = run_folder / "axon" / f".things.{os.uname().nodename}-{2**22 + 1}.partial.txt"
    temporary.write_text("half")
    simulate(run_folder, root, overwrite=True)
    assert not temporary.exists()


def test_disk_full_is_told_and_undone(run_folder: Path, root: Path) -> None:
    """A limit on the size of files stands for a full disk: both make the system refuse to write on."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    outputs = {"big": run_folder / "axon/big.h5"}
    try:
        with (
            pytest.raises(InputError, match="disk full or file size limit"),
            job(program="sum_things", inputs={}, outputs=outputs, parameters={}, root=root) as this,
        ):
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
            try:
                with h5py.File(this.temporary("big"), "w") as file:
                    file["x"] = np.zeros(100_000)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, before)
    finally:
        signal.signal(signal.SIGXFSZ, ignored)
    assert leftovers(run_folder) == []
    assert lines(run_folder, "sum_things")[-1]["event"] == "error"


PROGRAM = """
import sys, time
from pathlib import Path
from understudy.provenance.job import job

run, root = Path(sys.argv[1]), Path(sys.argv[2])
with job(program="sum_things", inputs={}, outputs={"sum": run / "axon/sum.txt"}, parameters={}, root=root) as this:
    this.temporary("sum").write_text("half")
    print("ready", flush=True)
    time.sleep(60)
"""


def test_sigterm_is_logged_and_leaves_no_half_file(run_folder: Path, root: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(run_folder), str(root)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        (line,) = attempts.open_attempts(run_folder / ".work")
        assert line["process"]["pid"] == process.pid
        process.terminate()
        assert process.wait(timeout=30) == 128 + signal.SIGTERM
    assert [line["event"] for line in lines(run_folder, "sum_things")] == ["start", "interrupted"]
    assert leftovers(run_folder) == []


def test_kill_leaves_an_open_attempt_that_is_not_alive(run_folder: Path, root: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(run_folder), str(root)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        process.kill()
        process.wait(timeout=30)
    assert [line["event"] for line in lines(run_folder, "sum_things")] == ["start"]
    assert attempts.open_attempts(run_folder / ".work") == []
    assert "sum.txt" not in leftovers(run_folder)
    sum_up(run_folder, root, inputs={})
    assert sorted(leftovers(run_folder)) == ["sum.txt", "sum.txt.prov.json"]


MESSAGE = """
from understudy.errors import InputError
from understudy.provenance.arguments import main, parser

def run(arguments):
    raise {error}

main(run, parser("Fail."))
"""


@pytest.mark.parametrize(
    ("error", "status", "traceback"), [("InputError('key')", 2, False), ("KeyError('key')", 1, True)]
)
def test_programs_end_with_a_message_or_a_traceback(error: str, status: int, traceback: bool) -> None:
    run = subprocess.run([sys.executable, "-c", MESSAGE.format(error=error)], capture_output=True, text=True)
    assert run.returncode == status
    assert ("Traceback" in run.stderr) == traceback
    assert traceback or run.stderr == "error: key\n"
