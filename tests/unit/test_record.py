"""The provenance record: its form, its hashes, and how a wrong one is told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from understudy.errors import InputError
from understudy.provenance.record import (
    SCHEMA,
    canonical_sha256,
    forgery_of,
    plain,
    problem_of,
    read_record,
    record_path,
    records_in,
    sealed,
    write_record,
)


def a_record() -> dict:
    parameters = {"dt_ms": 1.0, "layouts": 4}
    return sealed(
        {
            "schema": SCHEMA,
            "job": "3f0c",
            "program": "simulate_axons",
            "study": "axon",
            "outputs": [{"name": "dataset", "path": "axon/ground_truth.h5", "size": 3, "sha256": "0" * 64}],
            "inputs": [{"name": "atlas", "path": "~/a.trk", "size": 3, "sha256": "1" * 64, "kind": "external"}],
            "parameters": parameters,
            "parameters_sha256": canonical_sha256(parameters),
            "command": ["python", "scripts/simulate_axons.py"],
            "code": {"commit": None, "dirty": None, "fingerprint": "sha256:0", "files": {}, "versions": {}},
            "environment": {"locks": {}, "distributions": {}, "python": "3", "platform": "Linux", "processor": "one"},
            "notes": {},
            "seed": None,
            "time": {
                "start": "2026-01-01T00:00:00+00:00",
                "end": "2026-01-01T00:00:01+00:00",
                "cpu_s": 0.5,
                "peak_memory_bytes": 1,
            },
            "status": "completed",
        }
    )


def test_whole_record_passes_and_survives_a_file(tmp_path: Path) -> None:
    path = record_path(tmp_path / "ground_truth.h5")
    assert path.name == "ground_truth.h5.prov.json"
    write_record(path, a_record())
    assert read_record(path) == a_record()
    assert forgery_of(read_record(path)) is None
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    text = path.read_text()
    assert text.index('"code"') < text.index('"command"') < text.index('"environment"')


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"schema": "other/1"}, "schema"),
        ({"outputs": []}, "outputs"),
        ({"outputs": [{"name": "x", "path": "y", "size": 1, "sha256": "short"}]}, "sha256"),
        ({"inputs": [{"name": "x", "path": "y", "size": 1, "sha256": "0" * 64, "kind": "magic"}]}, "kind"),
        ({"inputs": [{"name": "x", "path": "y", "size": 1, "sha256": "0" * 64, "kind": "result"}]}, "producer"),
        ({"parameters": None}, "parameters"),
        ({"time": {"start": "yesterday", "end": "today"}}, "time"),
        ({"time": {"start": "2026-01-01T00:00:00", "end": "2026-01-01T00:00:01"}}, "time zone"),
        ({"status": "failed"}, "status"),
        ({"mood": "good"}, "mood"),
    ],
)
def test_wrong_form_is_named(change: dict, named: str) -> None:
    assert named in problem_of({**a_record(), **change})


def test_missing_key_is_named() -> None:
    record = a_record()
    del record["code"]
    assert problem_of(record) == "code: missing"


def test_edited_parameters_and_edited_record_are_told_apart() -> None:
    record = a_record()
    record["parameters"]["layouts"] = 16
    assert "parameters" in forgery_of(record)
    record = a_record()
    record["outputs"][0]["sha256"] = "2" * 64
    assert "edited" in forgery_of(record)


def test_not_json_and_absent_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.prov.json"
    with pytest.raises(InputError, match=r"a\.prov\.json"):
        read_record(path)
    path.write_text("{")
    with pytest.raises(InputError, match="no JSON"):
        read_record(path)
    path.write_text(json.dumps({"schema": 1}))
    with pytest.raises(InputError, match="schema"):
        read_record(path)
    assert records_in(tmp_path) == {}


def test_plain_types() -> None:
    value = {"a": (1, 2), "b": np.float32(0.5), "c": np.arange(3), "d": Path("x/y"), 5: None, "e": float("nan")}
    assert plain(value) == {"a": [1, 2], "b": 0.5, "c": [0, 1, 2], "d": "x/y", "5": None, "e": "nan"}
    json.dumps(plain(value), allow_nan=False)
    with pytest.raises(TypeError, match="object"):
        plain({"a": object()})


def test_hash_depends_on_content_not_on_order() -> None:
    assert canonical_sha256({"a": 1, "b": 2}) == canonical_sha256({"b": 2, "a": 1})
    assert canonical_sha256({"a": 1}) != canonical_sha256({"a": 2})
