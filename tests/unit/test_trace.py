"""`understudy trace`: the ancestry of a result, in a run and in published results, and errors for what has none."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_audit import DATASET, METRICS, MODELS, PREDICTIONS, Run

from understudy.cli import main
from understudy.errors import InputError
from understudy.provenance.reference import publish
from understudy.provenance.run_folder import file_sha256
from understudy.provenance.trace import Ancestor, trace, trace_text


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(tmp_path_factory.mktemp("traced"))


@pytest.fixture
def run(made: Run, tmp_path: Path) -> Run:
    return made.copied(tmp_path)


def everything(node: Ancestor) -> Iterator[Ancestor]:
    yield node
    for parent in node.ancestors:
        yield from everything(parent)


def states(node: Ancestor) -> dict[str, str]:
    return {entry.path: entry.state for entry in everything(node)}


def test_ancestry_reaches_raw_data_keys_code_and_environment(made: Run) -> None:
    found = trace(made.folder / "report.html")
    assert {MODELS, DATASET, PREDICTIONS, METRICS, "axon/config/simulate_axons.yaml"} - {PREDICTIONS} <= set(
        states(found)
    )
    assert set(states(found).values()) == {"as recorded"}
    raw = [entry for entry in everything(found) if entry.kind == "external"]
    assert [(entry.path, entry.sha256) for entry in raw] == [(made.atlas.as_posix(), file_sha256(made.atlas))]
    text = trace_text(found, made.root, files=True)
    for part in (
        "made by     simulate_axons for axon",
        "seed = 5",
        "environment E1",
        "E1  Python 3",
        "scripts/write_report.py",
    ):
        assert part in text, part
    assert text.count("made by     simulate_axons") == 1, "an ancestor of several is told once"
    assert "as above" in text and max(map(len, text.splitlines())) < 200


def test_changed_code_is_named(made: Run, tmp_path: Path) -> None:
    shutil.copytree(made.root, tmp_path / "code")
    (tmp_path / "code/src/understudy/physics/train_surrogate.py").write_text("value = 2\n")
    found = trace(made.folder / MODELS)
    assert "the present code" in trace_text(found, made.root)
    text = trace_text(found, tmp_path / "code")
    assert "changed since:" in text and "src/understudy/physics/train_surrogate.py" in text
    assert "src/understudy/physics/simulate_axons.py" not in text


def test_changed_absent_and_replaced_files_are_told(run: Run) -> None:
    (run.folder / MODELS).write_bytes(b"other")
    (run.folder / DATASET).unlink()
    found = states(trace(run.folder / METRICS))
    assert found[MODELS] == "CHANGED since" and found[DATASET] == "not here"
    run.rewrite(MODELS, lambda record: record.update(job="another"))
    assert "made again since, with equal bytes" in states(trace(run.folder / METRICS))[MODELS]
    run.record(MODELS).unlink()
    assert "the record of train_surrogate is not here" in states(trace(run.folder / METRICS))[MODELS]


def test_forged_and_invalid_records_are_told(run: Run) -> None:
    run.rewrite(MODELS, lambda record: record["notes"].update(mpi=3), seal=False)
    found = trace(run.folder / METRICS)
    assert {entry.path for entry in everything(found) if entry.doubt} == {MODELS}
    lines = trace_text(found, run.root).splitlines()
    (line,) = (line for line in lines if " record " in line and "forged_record" in line)
    assert "the record was edited after the job wrote it" in line
    assert not any(entry.doubt for entry in everything(trace(run.folder / DATASET)))

    text = run.record(MODELS).read_text()
    run.record(MODELS).write_text(text.replace('"distributions"', '"distributionz"'))
    assert (
        "invalid_record: is no provenance record (environment.distributions"
        in states(trace(run.folder / METRICS))[MODELS]
    )
    with pytest.raises(InputError, match=r"models\.h5\.prov\.json: invalid_record.*environment\.distributions"):
        trace(run.folder / MODELS)


def test_a_file_that_is_gone_is_traced_by_its_record(run: Run) -> None:
    (run.folder / MODELS).unlink()
    assert trace(run.folder / MODELS).state == "not here"
    assert trace(run.record(MODELS)).path == MODELS


def test_published_results_lead_back_through_what_is_absent(made: Run, tmp_path: Path) -> None:
    folder = publish(made.folder, "axon", tmp_path / "reference", made.root)
    found = states(trace(folder / "surrogate/metrics.json"))
    assert found[METRICS] == "as recorded" and found[DATASET] == "absent by design"
    assert found["external:atlas.trk"] == "not here"
    absent = trace(folder / "ground_truth.h5")
    assert absent.state == "absent by design" and absent.record["program"] == "simulate_axons"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("notes.txt", "found no record that claims it"),
        ("axon/config/simulate_axons.yaml", "from the configuration"),
        ("axon", "is a folder"),
        ("axon/nothing.h5", "no such file"),
        ("nothing/at/all.h5", "no such file"),
    ],
)
def test_what_has_no_record_is_refused(run: Run, name: str, reason: str) -> None:
    (run.folder / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=reason):
        trace(run.folder / name)


def test_command_prints_the_tree(made: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["trace", str(made.folder / METRICS)])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"{METRICS}  [as recorded]")
