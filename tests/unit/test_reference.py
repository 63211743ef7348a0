"""What `understudy publish` keeps: maps and numbers, other models where there is room, never more than the limit."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from test_audit import Run

from understudy.errors import InputError
from understudy.provenance import reference
from understudy.provenance.reference import audit_reference, publish

OTHER_MODELS = "axon/sexes/models.h5"


class LargerRun(Run):
    """A finished run with maps, numbers of a comparison, and a second trained model."""

    def make(self) -> None:
        maps, sexes = self.axon / "maps", self.axon / "sexes"
        dataset = {"config": self.axon / "config/simulate_axons.yaml"}

        def write_maps(listing: Path, volume: Path) -> None:
            listing.write_text("{}")
            volume.write_bytes(gzip.compress(bytes(100), mtime=0))

        def compare(joint: Path, models: Path, comparison: Path) -> None:
            joint.write_bytes(bytes(50))
            models.write_bytes(bytes(60_000))
            comparison.write_text("{}")

        self.do(
            "train_surrogate", dataset, {"listing": maps / "maps.json", "direct": maps / "direct.nii.gz"}, write_maps
        )
        outputs = {
            "joint": sexes / "ground_truth.h5",
            "models": sexes / "models.h5",
            "comparison": self.axon / "sex_comparison.json",
        }
        self.do("train_surrogate", dataset, outputs, compare)
        super().make()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> LargerRun:
    return LargerRun(tmp_path_factory.mktemp("larger"))


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_maps_and_numbers_are_kept(made: LargerRun, tmp_path: Path) -> None:
    folder = publish(made.folder, "axon", tmp_path / "reference", made.root)
    for name in ("maps/maps.json", "maps/direct.nii.gz", "sex_comparison.json", "sexes/models.h5"):
        assert (folder / name).is_file(), name
    assert not (folder / "sexes/ground_truth.h5").exists()
    verdict = audit_reference(folder, made.root)
    assert verdict["passed"], verdict["findings"]
    assert verdict["states"]["axon/sexes/ground_truth.h5"] == "absent by design"
    assert verdict["states"]["axon/maps/direct.nii.gz"] == "verified"


def test_other_models_are_left_out_where_there_is_no_room(
    made: LargerRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = size_of(publish(made.folder, "axon", tmp_path / "whole", made.root))
    monkeypatch.setattr(reference, "LARGEST_TOTAL_BYTES", whole - 1)
    folder = publish(made.folder, "axon", tmp_path / "reference", made.root)
    assert size_of(folder) < whole - 50_000
    assert not (folder / "sexes/models.h5").exists() and (folder / "surrogate/models.h5").is_file()
    verdict = audit_reference(folder, made.root)
    assert verdict["passed"] and verdict["states"][OTHER_MODELS] == "absent by design"
    assert [path.name for path in (tmp_path / "reference").iterdir()] == ["axon"]


def test_too_much_is_refused_and_the_largest_are_named(
    made: LargerRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference, "LARGEST_TOTAL_BYTES", 50_000)
    published = tmp_path / "reference" / "axon"
    published.mkdir(parents=True)
    (published / "of_before.txt").touch()
    with pytest.raises(InputError, match=r"(?s)at most 0\.05 MB in all.*surrogate/") as error:
        publish(made.folder, "axon", tmp_path / "reference", made.root)
    listed = str(error.value).splitlines()[1:]
    sizes = [float(line.split()[0]) for line in listed]
    assert len(listed) == 8 and sizes == sorted(sizes, reverse=True)
    # What was published before is still there, whole.
    assert (published / "of_before.txt").exists()
    assert [path.name for path in (tmp_path / "reference").iterdir()] == ["axon"]


def test_a_published_record_names_external_files_without_their_place(made: LargerRun, tmp_path: Path) -> None:
    assert str(made.atlas) in (made.axon / "ground_truth.h5.prov.json").read_text(), "the run's own record tells it"
    folder = publish(made.folder, "axon", tmp_path / "reference", made.root)
    records = {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*.prov.json")}
    assert not [name for name, text in records.items() if str(made.atlas.parent) in text]
    assert "external:atlas.trk" in records["ground_truth.h5.prov.json"]
    verdict = audit_reference(folder, made.root)
    assert verdict["passed"]
    assert "external_absent" in {entry["kind"] for entry in verdict["findings"]}
