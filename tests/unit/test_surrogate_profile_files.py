"""Prediction from files: the same numbers by CSV, HDF5 and arrays, and clear refusals."""

import csv

import h5py
import numpy as np
import pytest
from toy_surrogate_study import SAMPLES, STAGE, TOY, toy_cases, write_toy

from understudy.errors import InputError
from understudy.surrogate.predict import predict
from understudy.surrogate.profile_files import predict_file
from understudy.surrogate.training import train


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    dataset = write_toy(folder / "truth.h5")
    path = folder / "models.h5"
    train(TOY, dataset, STAGE, output=path, work=folder / "work", key="k", device="cpu")
    return path


@pytest.fixture
def profiles():
    return toy_cases(3, 4, seed=9)[0]


def csv_text(profiles, header=None, step=2.0):
    names = header or ["time_ms", *(f"site {i} [N]" for i in range(len(profiles)))]
    lines = [",".join(names)]
    for k in range(profiles.shape[2]):
        lines.append(",".join([f"{k * step:g}", *(repr(float(value)) for value in profiles[:, 0, k])]))
    return "\n".join(lines) + "\n"


def test_csv_and_hdf5_agree_with_arrays(model, profiles, tmp_path):
    wanted = predict(model, profiles, definition=TOY)
    (tmp_path / "in.csv").write_text(csv_text(profiles))
    count, flagged = predict_file(TOY, model, tmp_path / "in.csv", tmp_path / "out.csv")
    assert (count, flagged) == (12, int(wanted.flagged.sum()))
    with (tmp_path / "out.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert [row["profile"] for row in rows] == [f"site {i}" for i in range(12)]
    columns = ["peak_response [m]", "peak_response_lower90 [m]", "peak_response_upper90 [m]", "failed_share [1]"]
    found = np.array([[float(row[name]) for name in columns] for row in rows])
    expected = np.stack([wanted.mean[:, 0], wanted.lower[:, 0], wanted.upper[:, 0], wanted.mean[:, 1]], axis=1)
    # Seven digits are written.
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)
    with h5py.File(tmp_path / "in.h5", "w") as file:
        file["inputs"] = profiles[:, 0]
        file.attrs["input_step"], file.attrs["input_step_unit"] = 2.0, "ms"
    predict_file(TOY, model, tmp_path / "in.h5", tmp_path / "out.h5")
    with h5py.File(tmp_path / "out.h5") as file:
        np.testing.assert_array_equal(file["mean"][...], wanted.mean)
        assert file.attrs["target_units"].tolist() == [b"m", b"1"]


def test_ground_truth_is_accepted_as_input(model, tmp_path):
    dataset = write_toy(tmp_path / "truth.h5")
    count, _ = predict_file(TOY, model, dataset, tmp_path / "out.h5")
    assert count == 490


def test_existing_output_is_kept_unless_told(model, profiles, tmp_path):
    (tmp_path / "in.csv").write_text(csv_text(profiles))
    (tmp_path / "out.csv").write_text("precious")
    with pytest.raises(InputError, match="--overwrite"):
        predict_file(TOY, model, tmp_path / "in.csv", tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == "precious"
    predict_file(TOY, model, tmp_path / "in.csv", tmp_path / "out.csv", overwrite=True)
    assert (tmp_path / "out.csv").read_text().startswith("profile,")


def changed(profiles, row, column, text):
    lines = csv_text(profiles).splitlines()
    cells = lines[row - 1].split(",")
    cells[column - 1] = text
    lines[row - 1] = ",".join(cells)
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda p: changed(p, 4, 3, "nan"), r"row 4, column 3 \(site 1 \[N\]\): found 'nan'"),
        (lambda p: changed(p, 4, 3, "much"), "row 4, column 3"),
        (lambda p: changed(p, 1, 1, "time_s"), "found the columns time_s.*accepted are time_ms"),
        (lambda p: changed(p, 1, 2, "site 0 [kN]"), "column 2.*found the unit 'kN'; accepted is 'N'"),
        (lambda p: changed(p, 1, 2, "site 1 [N]"), "'site 1' more than once"),
        (lambda p: csv_text(p, step=1.0), "row 3, column 1 .*found 1; accepted is 2"),
        (lambda p: csv_text(p[:, :, :-1]), f"found 23 samples; accepted are {SAMPLES}"),
        (lambda p: csv_text(p) + "1,2\n", "found 2 cells; accepted are 13"),
        (lambda p: "", "found the columns nothing"),
    ],
)
def test_bad_csv_is_refused_by_place(model, profiles, tmp_path, edit, message):
    (tmp_path / "in.csv").write_text(edit(profiles))
    with pytest.raises(InputError, match=message):
        predict_file(TOY, model, tmp_path / "in.csv", tmp_path / "out.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


@pytest.mark.parametrize(
    ("attributes", "inputs", "message"),
    [
        (
            {"input_step": 1.0, "input_step_unit": "ms"},
            np.zeros((2, SAMPLES)),
            "input_step: found 1.0; accepted is 2.0",
        ),
        ({}, np.zeros((2, SAMPLES)), "input_step: found None"),
        ({"input_step": 2.0, "input_step_unit": "ms"}, np.zeros((2, 9)), "found 9 samples"),
        ({"input_step": 2.0, "input_step_unit": "ms"}, np.full((2, SAMPLES), np.nan), "NaN or infinity in case 0"),
    ],
)
def test_bad_hdf5_is_refused(model, tmp_path, attributes, inputs, message):
    with h5py.File(tmp_path / "in.h5", "w") as file:
        file["inputs"] = inputs
        file.attrs.update(attributes)
    with pytest.raises(InputError, match=message):
        predict_file(TOY, model, tmp_path / "in.h5", tmp_path / "out.h5")


def test_unknown_endings_and_truncated_files_are_refused(model, tmp_path):
    (tmp_path / "in.txt").write_text("x")
    with pytest.raises(InputError, match=r"accepted are \.csv"):
        predict_file(TOY, model, tmp_path / "in.txt", tmp_path / "out.csv")
    (tmp_path / "in.h5").write_bytes(b"\x89HDF\r\n")
    with pytest.raises(InputError, match="cannot be read"):
        predict_file(TOY, model, tmp_path / "in.h5", tmp_path / "out.csv")
