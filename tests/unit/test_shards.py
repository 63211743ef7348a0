"""Framed shards: whole records survive any cut, damage is noticed, keys separate results."""

import resource

import numpy as np
import pytest

from understudy.errors import InputError
from understudy.farm import keys as keys_module
from understudy.farm import shards
from understudy.farm.frames import FAILURE, RESULT, FrameWriter, frame_bytes, read_payload, scan_frames
from understudy.farm.keys import stage_key
from understudy.farm.ownership import acquire, release
from understudy.farm.processes import identify
from understudy.farm.shards import Failure, decode_arrays, encode_arrays, encode_failure

ARRAYS = {"strain": np.arange(6, dtype=np.float32).reshape(2, 3), "count": np.int64(4), "name": np.array("nœud")}


def write_shard(folder, attempt, rank, cases, value=0.0):
    folder.mkdir(exist_ok=True)
    writer = FrameWriter(shards.shard_path(folder, attempt, rank))
    for case in cases:
        writer.append(RESULT, case, encode_arrays({"x": np.array([case + value])}))
    writer.sync()
    writer.close()
    return shards.shard_path(folder, attempt, rank)


def test_arrays_survive_the_round_trip_with_type_and_shape():
    found = decode_arrays(encode_arrays(ARRAYS))
    assert found.keys() == ARRAYS.keys()
    for name, expected in ARRAYS.items():
        assert found[name].dtype == np.asarray(expected).dtype
        assert np.array_equal(found[name], expected)


def test_equal_arrays_give_equal_bytes_whatever_order_or_layout():
    fortran = {
        "strain": np.asfortranarray(ARRAYS["strain"]).astype(">f4"),
        "name": ARRAYS["name"],
        "count": np.int64(4),
    }
    assert encode_arrays(fortran) == encode_arrays(ARRAYS)


def test_objects_are_refused():
    with pytest.raises(TypeError, match=r"'bad'.*object"):
        encode_arrays({"bad": np.array([None])})


def test_every_cut_leaves_the_whole_records_before_it(tmp_path):
    path = tmp_path / "shard"
    pieces = [frame_bytes(RESULT, case, bytes(range(case + 5))) for case in range(3)]
    ends = np.cumsum([0, *map(len, pieces)])
    whole = b"".join(pieces)
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        found, end = scan_frames(path, verify=True)
        expected = int(np.searchsorted(ends, length, side="right")) - 1
        assert [frame.case for frame in found] == list(range(expected))
        assert end == ends[expected]


def test_a_flipped_bit_anywhere_in_the_last_record_is_noticed(tmp_path):
    path = tmp_path / "shard"
    first, last = frame_bytes(RESULT, 1, b"first"), frame_bytes(RESULT, 2, b"second")
    for place in range(len(last)):
        damaged = bytearray(last)
        damaged[place] ^= 4
        path.write_bytes(first + damaged)
        assert [frame.case for frame in scan_frames(path, verify=True)[0]] == [1]


def test_reading_a_damaged_payload_is_refused(tmp_path):
    path = write_shard(tmp_path / "key", 1, 0, [8])
    (frame,) = scan_frames(path)[0]
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match="record of case 8"):
        read_payload(frame)


def test_cut_back_removes_the_torn_end_only(tmp_path):
    path = write_shard(tmp_path / "key", 1, 0, [0, 1])
    size = path.stat().st_size
    with open(path, "ab") as file:
        file.write(frame_bytes(RESULT, 2, b"torn")[:-1])
    assert shards.cut_back(tmp_path / "key") == len(frame_bytes(RESULT, 2, b"torn")) - 1
    assert path.stat().st_size == size
    assert shards.cut_back(tmp_path / "key") == 0


def test_cases_come_in_ascending_order_from_all_shards(tmp_path):
    write_shard(tmp_path / "key", 1, 1, [5, 2])
    write_shard(tmp_path / "key", 2, 0, [9, 0])
    cases = shards.read_cases(tmp_path, "key")
    assert list(cases) == [0, 2, 5, 9]
    assert cases[5]["x"][0] == 5
    assert len(cases) == 4 and 5 in cases and 4 not in cases
    with pytest.raises(KeyError, match="case 4 has no result"):
        cases[4]


def test_failures_come_back_as_such(tmp_path):
    failure = Failure(3, "FloatingPointError: diverged", "peak 20 rad/s", "Traceback")
    path = write_shard(tmp_path / "key", 1, 0, [1])
    writer = FrameWriter(path.with_name("shard-0001-00001.bin"))
    writer.append(FAILURE, 3, encode_failure(failure))
    writer.close()
    cases = shards.read_cases(tmp_path, "key")
    assert cases[3] == failure
    assert cases.failed(3) and not cases.failed(1)


def test_a_case_twice_counts_once_if_equal_and_is_refused_if_not(tmp_path):
    write_shard(tmp_path / "key", 1, 0, [1, 2])
    write_shard(tmp_path / "key", 2, 0, [2, 3])
    assert list(shards.read_cases(tmp_path, "key")) == [1, 2, 3]
    write_shard(tmp_path / "key", 3, 0, [3], value=0.5)
    with pytest.raises(InputError, match=r"case 3 has two different results, in shard-0002.*shard-0003.*--recompute"):
        shards.read_cases(tmp_path, "key")


def test_missing_results_are_refused(tmp_path):
    with pytest.raises(InputError, match="found no results of cases"):
        shards.read_cases(tmp_path, "key")


def test_key_changes_with_everything_a_result_depends_on(monkeypatch):
    base = {"parameters": {"a": 0.1, "b": [1, 2]}, "code": "sha256:1", "input_hashes": {"mesh": "f"}, "seed": 1}
    changes = [
        {"parameters": {"a": 0.1 + 1e-16, "b": [1, 2]}},
        {"code": "sha256:2"},
        {"input_hashes": {"mesh": "e"}},
        {"seed": None},
    ]
    keys = [stage_key(**base), *(stage_key(**{**base, **change}) for change in changes)]
    monkeypatch.setattr(keys_module, "SHARD_SCHEMA", keys_module.SHARD_SCHEMA + 1)
    keys.append(stage_key(**base))
    assert len(set(keys)) == len(keys)


def test_key_does_not_depend_on_the_order_of_parameters():
    first = stage_key({"a": 1, "b": 2}, "c", {"x": "1", "y": "2"}, 0)
    assert first == stage_key({"b": 2, "a": 1}, "c", {"y": "2", "x": "1"}, 0)


def test_full_disk_names_folder_and_bytes_and_leaves_whole_records(tmp_path):
    path = tmp_path / "shard-0001-00000.bin"
    writer = FrameWriter(path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, hard))
        with pytest.raises(InputError) as caught:
            for case in range(10):
                writer.append(RESULT, case, bytes(1000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        writer.close()
    assert f"{tmp_path}: no room for the 1048 bytes of case 2" in str(caught.value)
    found, end = scan_frames(path, verify=True)
    assert [frame.case for frame in found] == [0, 1]
    assert end == path.stat().st_size


def test_only_merged_folders_of_the_farm_without_owner_are_removed(tmp_path):
    folder = tmp_path / ".work" / "simulate"
    for key in ("merged", "unfinished", "owned"):
        shards.prepare(folder / key, "simulate")
        write_shard(folder / key, 1, 0, [1])
    shards.mark_merged(folder, "merged")
    shards.mark_merged(folder, "owned")
    foreign = tmp_path / ".work" / "notes"
    foreign.mkdir()
    (foreign / shards.MERGED).touch()
    owner = acquire(folder / "owned", "simulate", [identify()])
    assert shards.remove_merged(tmp_path) == [folder / "merged"]
    release(owner)
    assert shards.remove_merged(tmp_path) == [folder / "owned"]
    assert (folder / "unfinished").is_dir() and foreign.is_dir()


def test_unwritable_folder_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file/key: cannot be written"):
        shards.prepare(tmp_path / "file" / "key", "simulate")
