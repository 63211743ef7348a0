"""The ground-truth file: same content, same bytes; lazy reading; every wrong file refused by name."""

import subprocess
import sys

import h5py
import numpy as np
import pytest

from understudy.dataset import Field, open_ground_truth, write_ground_truth
from understudy.errors import InputError

N = 12


def content(**changes):
    random = np.random.default_rng(3)
    values = {
        "study": "artificial",
        "inputs": random.standard_normal((N, 2, 30)).astype(np.float32),
        "targets": random.standard_normal((N, 3)),
        "case": np.arange(N) * 2,
        "group": np.arange(N) // 3,
        "split": ["training"] * 6 + ["calibration"] * 3 + ["heldout"] * 3,
        "subset": ["sampled"] * 6 + [""] * 3 + ["random", "worst_case", "random"],
        "failed": [""] * N,
        "channels": [Field("strain", "1"), Field("rate", "1/s")],
        "target_fields": [Field("peak", "1"), Field("mean", "1"), Field("énergie", "µJ")],
        "context": random.standard_normal((N, 1)),
        "context_fields": [Field("radius", "nm")],
        "group_names": ["a", "b", "c", "dé"],
        "input_step": 1.0,
        "input_step_unit": "ms",
        "attributes": {"layouts": 16, "fibres": "synthetic", "scale": 0.94},
    }
    return {**values, **changes}


@pytest.fixture
def path(tmp_path):
    write_ground_truth(tmp_path / "truth.h5", **content())
    return tmp_path / "truth.h5"


def test_what_was_written_is_read_back(path):
    expected = content()
    with open_ground_truth(path, study="artificial") as truth:
        rows = np.array([7, 0, 7, 11])
        assert truth.n == N and truth.study == "artificial"
        assert truth.channels == tuple(expected["channels"])
        assert truth.target_fields[2] == Field("énergie", "µJ")
        assert truth.context_fields == (Field("radius", "nm"),)
        assert truth.group_names == expected["group_names"]
        assert truth.attributes == expected["attributes"]
        assert (truth.input_step, truth.input_step_unit, truth.input_shape) == (1.0, "ms", (2, 30))
        assert np.array_equal(truth.inputs(rows), expected["inputs"][rows]) and truth.inputs(rows).dtype == np.float32
        assert np.array_equal(truth.targets(rows), expected["targets"][rows])
        assert np.array_equal(truth.context(rows), expected["context"][rows])
        assert truth.inputs([]).shape == (0, 2, 30)
        for name in ("case", "group", "split", "subset", "failed"):
            assert np.array_equal(getattr(truth, name), expected[name]), name


def test_rows_are_chosen_by_split_and_subset_without_failed_ones(tmp_path):
    failed = [""] * N
    failed[1] = failed[9] = "FloatingPointError: diverged"
    targets = content()["targets"]
    targets[[1, 9]] = np.nan
    write_ground_truth(tmp_path / "t.h5", **content(failed=failed, targets=targets))
    with open_ground_truth(tmp_path / "t.h5") as truth:
        assert truth.rows("training").tolist() == [0, 2, 3, 4, 5]
        assert truth.rows("heldout", "random").tolist() == [11]
        assert truth.rows(subset="worst_case").tolist() == [10]
        assert len(truth.rows()) == N - 2
        assert truth.failed[1].startswith("FloatingPointError")
        with pytest.raises(InputError, match="'test'; accepted are training, calibration, heldout"):
            truth.rows("test")


def test_many_chunks_and_more_dimensions(tmp_path):
    inputs = np.random.default_rng(0).standard_normal((N, 2, 30, 40, 20)).astype(np.float32)
    write_ground_truth(tmp_path / "t.h5", **content(inputs=inputs))
    with h5py.File(tmp_path / "t.h5") as file:
        assert file["inputs"].chunks == (1, 2, 30, 40, 20)
    with open_ground_truth(tmp_path / "t.h5") as truth:
        assert np.array_equal(truth.inputs([11, 3, 4]), inputs[[11, 3, 4]])


def test_context_is_optional(tmp_path):
    write_ground_truth(tmp_path / "t.h5", **content(context=None, context_fields=()))
    with open_ground_truth(tmp_path / "t.h5") as truth:
        assert truth.context_fields == () and truth.context([1, 2]).shape == (2, 0)


def test_equal_content_gives_equal_bytes_in_another_process_at_another_time(path):
    other = path.with_name("other.h5")
    code = (
        "import sys, time; sys.path.insert(0, sys.argv[1]); time.sleep(1.1)\n"
        "from test_dataset import content\nfrom understudy.dataset import write_ground_truth\n"
        "write_ground_truth(sys.argv[2], **content(attributes=dict(reversed(content()['attributes'].items()))))"
    )
    subprocess.run([sys.executable, "-c", code, str(__file__).rpartition("/")[0], str(other)], check=True)
    assert other.read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"case": np.zeros(N, int)}, "case must ascend"),
        ({"case": np.arange(N)[::-1]}, "case must ascend"),
        ({"split": ["test"] * N}, r"split holds \['test'\]; accepted are training"),
        ({"group": np.full(N, 9)}, "group runs from 9 to 9; accepted are 0 to 3"),
        ({"group": np.zeros(N, int)}, r"groups \['a'\] lie in more than one split"),
        ({"channels": [Field("strain", "1")]}, r"inputs has shape \(12, 2, 30\); accepted is \(12, 1, ...\)"),
        ({"target_fields": [Field("x", "1")] * 3}, "names of targets"),
        ({"subset": [""]}, r"subset has shape \(1,\)"),
        ({"attributes": {"study": "x"}}, "attributes .* are the file's own"),
        ({"inputs": np.empty((0, 2, 30))}, "no rows"),
    ],
)
def test_contradictions_are_refused_and_leave_no_file(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        write_ground_truth(tmp_path / "t.h5", **content(**changes))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["inputs", "targets", "context"])
def test_values_that_are_not_finite_are_refused_in_writing(tmp_path, name):
    values = content()
    values[name][4, 0] = np.inf
    with pytest.raises(InputError, match=rf"{name} holds NaN or infinity in 1 successful row\(s\), first case 8"):
        write_ground_truth(tmp_path / "t.h5", **values)
    assert list(tmp_path.iterdir()) == []


def test_values_that_are_not_finite_are_refused_where_they_are_read(path):
    with h5py.File(path, "r+") as file:
        file["targets"][9, 1] = np.nan
    with open_ground_truth(path) as truth:
        assert np.isfinite(truth.targets(truth.rows("training"))).all()
        with pytest.raises(InputError, match=r"targets holds NaN.*first case 18"):
            truth.targets(truth.rows("heldout"))


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        open_ground_truth(tmp_path / "none.h5")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.95])
def test_truncated_file_is_refused(path, share):
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(InputError, match="cannot be read as HDF5"):
        open_ground_truth(path)


def test_files_of_another_kind_are_refused(tmp_path):
    (tmp_path / "text.h5").write_text("case,peak\n1,2\n")
    with pytest.raises(InputError, match="cannot be read as HDF5"):
        open_ground_truth(tmp_path / "text.h5")
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file["inputs"] = np.zeros(3)
    with pytest.raises(InputError, match="found HDF5 with schema ''"):
        open_ground_truth(tmp_path / "foreign.h5")


def test_another_version_study_or_incomplete_file_is_refused(path):
    with pytest.raises(InputError, match="study 'artificial'; accepted is study 'axon'"):
        open_ground_truth(path, study="axon")
    with h5py.File(path, "r+") as file:
        del file["subset"]
    with pytest.raises(InputError, match="found no subset"):
        open_ground_truth(path)
    with h5py.File(path, "r+") as file:
        file.attrs["schema_version"] = 99
    with pytest.raises(InputError, match="schema version 99; accepted is 1"):
        open_ground_truth(path)
