"""`understudy pack`: one file that unpacks anywhere to a crate and audits clean."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest
from test_audit import DATASET, METRICS, MODELS, Run
from test_crate import CratedRun, cache, problems

from understudy.cli import main
from understudy.errors import InputError
from understudy.provenance.pack import pack
from understudy.provenance.reference import audit_reference
from understudy.provenance.run_folder import CRATE_FILE
from understudy.provenance.trace import trace

__all__ = ["cache"]  # the fixture


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> CratedRun:
    return CratedRun(tmp_path_factory.mktemp("packed"))


def unpacked(file: Path, folder: Path) -> Path:
    with tarfile.open(file) as archive:
        archive.extractall(folder, filter="data")
    (inside,) = folder.iterdir()
    return inside


def kinds(folder: Path, run: Run) -> set[tuple[str, str]]:
    findings = audit_reference(folder, run.root)["findings"]
    return {(entry["kind"], entry["file"]) for entry in findings if entry["severity"] == "failure"}


def test_unpacked_elsewhere_it_audits_clean(made: CratedRun, tmp_path: Path) -> None:
    folder = unpacked(pack(made.folder, tmp_path / "small.tar.gz", root=made.root), tmp_path / "elsewhere")
    assert folder.name == "small"
    for name in (
        CRATE_FILE,
        "workflow/Snakefile",
        "report.html",
        MODELS,
        f"{MODELS}.prov.json",
        f"{DATASET}.prov.json",
    ):
        assert (folder / name).is_file(), name
    assert not (folder / DATASET).exists()
    verdict = audit_reference(folder, made.root)
    assert verdict["passed"] and {entry["kind"] for entry in verdict["findings"]} == {"external_absent"}
    assert verdict["states"].pop(DATASET) == "absent by design"
    assert set(verdict["states"].values()) == {"verified"}
    assert str(made.atlas.parent) not in "".join(path.read_text() for path in folder.rglob("*.json"))
    assert trace(folder / METRICS).state == "as recorded"
    assert trace(folder / DATASET).state == "absent by design"


def test_validator_accepts_the_crate_of_a_pack(made: CratedRun, cache: Path, tmp_path: Path) -> None:
    """What is absent by design is described in it, and is no part of it."""
    folder = unpacked(pack(made.folder, tmp_path / "small.tar.gz", root=made.root), tmp_path / "elsewhere")
    assert "#absent/" in (folder / CRATE_FILE).read_text()
    assert problems(folder, cache) == []


def test_equal_runs_give_equal_packs(made: CratedRun, tmp_path: Path) -> None:
    one, two = (pack(made.folder, tmp_path / f"{name}.tar.gz", root=made.root) for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    with tarfile.open(one) as archive:
        members = archive.getmembers()
    assert {(member.uid, member.mtime, member.mode) for member in members} == {(0, 0, 0o644)}


def test_everything_can_be_packed(made: CratedRun, tmp_path: Path) -> None:
    file = pack(made.folder, tmp_path / "all.tar.gz", everything=True, root=made.root)
    verdict = audit_reference(unpacked(file, tmp_path / "elsewhere"), made.root)
    assert verdict["passed"] and set(verdict["states"].values()) == {"verified"}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (MODELS, "changed_file"),
        (CRATE_FILE, "changed_file"),
        ("workflow/Snakefile", "changed_file"),
        ("report.html", "missing_file"),
        ("workflow/rules/axon.smk", "missing_file"),
    ],
)
def test_damage_after_unpacking_is_named(made: CratedRun, tmp_path: Path, name: str, kind: str) -> None:
    folder = unpacked(pack(made.folder, tmp_path / "small.tar.gz", root=made.root), tmp_path / "elsewhere")
    if kind == "missing_file":
        (folder / name).unlink()
    else:
        content = bytearray((folder / name).read_bytes())
        content[len(content) // 2] ^= 1
        (folder / name).write_bytes(content)
    assert (kind, name) in kinds(folder, made)


def test_a_pack_whose_list_has_no_crate_fails(made: CratedRun, tmp_path: Path) -> None:
    folder = unpacked(pack(made.folder, tmp_path / "small.tar.gz", root=made.root), tmp_path / "elsewhere")
    listing = json.loads((folder / "absent.json").read_text())
    del listing["crate"]
    (folder / "absent.json").write_text(json.dumps(listing))
    assert {("missing_file", CRATE_FILE), ("missing_file", "workflow/Snakefile")} <= kinds(folder, made)


def test_what_cannot_be_packed_is_refused(made: CratedRun, tmp_path: Path) -> None:
    (tmp_path / "there.tar.gz").touch()
    for output, reason in (("there.tar.gz", "exists"), ("run.zip", "ends in"), ("no/run.tar.gz", "no such folder")):
        with pytest.raises(InputError, match=reason):
            pack(made.folder, tmp_path / output, root=made.root)
    with pytest.raises(InputError, match="no such folder"):
        pack(tmp_path / "nothing")
    assert [path.name for path in tmp_path.iterdir()] == ["there.tar.gz"]


def test_command_says_what_it_wrote(made: CratedRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["pack", str(made.folder), "--output", str(tmp_path / "run.tar.gz")])
    assert ended.value.code == 0 and "run.tar.gz: " in capsys.readouterr().out
