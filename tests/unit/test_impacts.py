"""Head impacts: distributions, seeds, roles and the reading of files."""

import math

import numpy as np
import pytest

from understudy.axon.config import Impacts
from understudy.axon.impacts import (
    AXES,
    assign_roles,
    axis_family,
    draw_impacts,
    peak_acceleration,
    peak_velocity,
    pulse,
    read_impact,
    read_impacts,
)
from understudy.errors import InputError

MANY = Impacts(training=150, calibration=30, heldout=20)


def _labels(impacts, role):
    return [i for i, impact in enumerate(impacts) if impact.role == role]


def test_peaks_follow_the_configured_distribution():
    drawn = draw_impacts(MANY, seed=3)
    peaks = np.array([peak_velocity(impact) for impact in drawn])
    assert peaks.min() >= MANY.velocity_min_rad_per_s
    assert peaks.max() <= MANY.velocity_max_rad_per_s
    # Four standard errors of the median of 200 lognormal numbers: 4 * 1.253 * 0.5 / sqrt(200) = 0.18.
    assert abs(math.log(np.median(peaks) / MANY.velocity_median_rad_per_s)) < 0.18


def test_peak_acceleration_is_that_of_the_raised_cosine():
    for impact in draw_impacts(Impacts(), seed=5):
        rise_s = impact.parameters["rise_ms"] * 1e-3
        assert Impacts().rise_min_ms <= impact.parameters["rise_ms"] <= Impacts().rise_max_ms
        expected = peak_velocity(impact) * math.pi / (2 * rise_s)
        assert impact.parameters["peak_acceleration_rad_per_s2"] == pytest.approx(expected, rel=1e-4)
        # The record's own largest acceleration is that of the rise: decay and rebound never exceed it by much.
        assert expected * 0.999 < peak_acceleration(impact) < expected * 1.5


def test_pulse_has_its_parts():
    time_s = np.linspace(0, 0.2, 4001)
    speed = pulse(time_s, 10.0, 0.02, 0.03, 0.4)
    assert speed[0] == 0
    assert speed[400] == pytest.approx(10.0)
    assert speed[200] == pytest.approx(5.0)
    plain = pulse(time_s, 10.0, 0.02, 0.03, 0.0)
    assert plain[1000] == pytest.approx(10.0 * math.exp(-1))
    # The rebound begins at 50 ms, lasts 40 ms and reaches 0.4 of the peak in its middle.
    assert np.allclose(plain[:1001], speed[:1001], rtol=0, atol=1e-12)
    assert plain[1400] - speed[1400] == pytest.approx(4.0)
    assert speed[1801:] == pytest.approx(plain[1801:])


def test_axes_lie_in_the_cone_of_their_family():
    drawn = draw_impacts(MANY, seed=3)
    shares = [sum(axis_family(impact) == axis for impact in drawn) / len(drawn) for axis in AXES]
    # Four standard errors of a share of 200.
    assert np.allclose(shares, [0.3, 0.3, 0.4], atol=4 * math.sqrt(0.24 / 200))
    for impact in drawn:
        axis = np.array([impact.parameters[f"axis_{k}"] for k in "xyz"])
        assert np.linalg.norm(axis) == pytest.approx(1.0)
        assert np.abs(axis).max() >= math.cos(math.radians(MANY.cone_deg)) - 1e-12
    signs = [impact.parameters["axis_z"] > 0 for impact in drawn if axis_family(impact) == "axial"]
    assert 0 < sum(signs) < len(signs)


def test_rebound_share():
    drawn = draw_impacts(MANY, seed=3)
    share = sum(impact.parameters["rebound"] > 0 for impact in drawn) / len(drawn)
    assert abs(share - 0.3) < 4 * math.sqrt(0.21 / 200)


def test_an_impact_depends_on_its_own_number_and_the_seed_only():
    few = draw_impacts(Impacts(training=4, calibration=2, heldout=1), seed=11)
    more = draw_impacts(Impacts(training=20, calibration=5, heldout=5), seed=11)
    other = draw_impacts(Impacts(training=4, calibration=2, heldout=1), seed=12)
    for a, b in zip(few, more, strict=False):
        assert np.array_equal(a.angular_velocity_rad_per_s, b.angular_velocity_rad_per_s)
        assert a.parameters == b.parameters
    assert not np.array_equal(few[0].angular_velocity_rad_per_s, other[0].angular_velocity_rad_per_s)


def test_roles_are_spread_over_severity_and_axes():
    drawn = draw_impacts(Impacts(), seed=1)
    assert len(_labels(drawn, "training")) == 36
    assert len(_labels(drawn, "calibration")) == 9
    heldout = _labels(drawn, "heldout")
    assert len(heldout) == 5
    order = np.argsort(np.argsort([peak_velocity(impact) for impact in drawn]))
    assert sorted(order[heldout] // 10) == [0, 1, 2, 3, 4]
    assert {axis_family(drawn[i]) for i in heldout} == set(AXES)
    calibration = _labels(drawn, "calibration")
    left = [i for i in range(50) if i not in heldout]
    place = {i: p for p, i in enumerate(sorted(left, key=lambda i: order[i]))}
    assert sorted(place[i] // 5 for i in calibration) == list(range(9))
    assert {axis_family(drawn[i]) for i in calibration} == set(AXES)


def test_held_out_impacts_do_not_depend_on_the_number_for_calibration():
    drawn = draw_impacts(Impacts(training=40, calibration=5, heldout=5), seed=1)
    again = assign_roles(drawn, calibration=20, heldout=5)
    assert _labels(drawn, "heldout") == _labels(again, "heldout")


def test_no_impact_left_for_training_is_refused():
    with pytest.raises(InputError, match="calibration"):
        assign_roles(draw_impacts(Impacts(), seed=1), calibration=45, heldout=5)


HEADER = "time_ms,wx_rad_per_s,wy_rad_per_s,wz_rad_per_s"


def _rows(count=121, step=1.0, peak=10.0):
    return [f"{k * step},{peak * math.sin(0.02 * k):.6f},0.5,-1" for k in range(count)]


def _write(path, rows, header=HEADER):
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_csv_in_other_units_is_the_same_impact(tmp_path):
    plain = read_impact(_write(tmp_path / "a.csv", _rows()), 100)
    converted = [",".join([str(k * 1e-3 + 5), *(str(float(word) * 180 / math.pi) for word in row.split(",")[1:])])
                 for k, row in enumerate(_rows())]  # fmt: skip
    other = read_impact(_write(tmp_path / "b.csv", converted, "time_s, wx_deg_per_s, wy_deg_per_s, wz_deg_per_s"), 100)
    assert plain.time_s[0] == 0
    assert plain.time_s[-1] == pytest.approx(0.1)
    assert np.allclose(plain.time_s, other.time_s, atol=1e-12)
    assert np.allclose(plain.angular_velocity_rad_per_s, other.angular_velocity_rad_per_s, atol=1e-9)
    assert plain.label == "a"
    assert plain.angular_velocity_rad_per_s[50] == pytest.approx([10 * math.sin(1.0), 0.5, -1.0], abs=1e-6)


@pytest.mark.parametrize(
    ("rows", "header", "words"),
    [
        (_rows(), "time_ms,wx_rad_per_s,wy_rad_per_s", ["found the columns", "wz_rad_per_s"]),
        (_rows(), "time,wx_rad_per_s,wy_rad_per_s,wz_rad_per_s", ["'time'", "time_ms or time_s"]),
        (_rows(), "time_ms,wx_rpm,wy_rad_per_s,wz_rad_per_s", ["'wx_rpm'", "wx_rad_per_s or wx_deg_per_s"]),
        (_rows(), "time_ms,wy_rad_per_s,wx_rad_per_s,wz_rad_per_s", ["'wy_rad_per_s'"]),
        ([*_rows()[:40], "40,nan,0,0", *_rows()[41:]], HEADER, ["wx_rad_per_s", "row 42", "'nan'"]),
        ([*_rows()[:40], "40,1,,0", *_rows()[41:]], HEADER, ["wy_rad_per_s", "row 42"]),
        ([*_rows()[:40], "40,1,0", *_rows()[41:]], HEADER, ["row 42", "3 values"]),
        ([*_rows()[:40], *_rows()[39:]], HEADER, ["time_ms", "row 42", "does not increase"]),
        ([*_rows()[:40], *_rows()[45:]], HEADER, ["row 42", "step of 6 ms"]),
        (_rows(90), HEADER, ["record of 89 ms", "duration_ms = 100"]),
        ([], HEADER, ["record of 0 ms"]),
        (_rows(peak=900.0), HEADER, ["wx_rad_per_s", "150 rad/s"]),
        ([f"{k},0,0,0" for k in range(121)], HEADER, ["no rotation"]),
    ],
)
def test_bad_csv_is_refused_by_file_column_and_row(tmp_path, rows, header, words):
    path = _write(tmp_path / "bad.csv", rows, header)
    with pytest.raises(InputError) as error:
        read_impact(path, 100)
    assert "bad.csv" in str(error.value)
    for word in words:
        assert word in str(error.value)


def test_csv_record_ends_at_the_duration(tmp_path):
    times = [*range(0, 98, 2), 97.3, 99.1, 100.9, 102.0]
    rows = [f"{t},{0.1 * t},0,0" for t in times]
    impact = read_impact(_write(tmp_path / "uneven.csv", rows), 100)
    assert impact.time_s[-1] == pytest.approx(0.1, abs=1e-15)
    assert impact.time_s[-2] == pytest.approx(0.0991)
    assert impact.angular_velocity_rad_per_s[-1] == pytest.approx([10.0, 0, 0])


def test_empty_and_binary_files_are_refused(tmp_path):
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(InputError, match="empty"):
        read_impact(tmp_path / "empty.csv", 100)
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(InputError, match="cannot be read"):
        read_impact(tmp_path / "binary.csv", 100)


def test_folder_of_csv_files(tmp_path):
    settings = Impacts(source="csv", csv_folder=str(tmp_path), training=4, calibration=2, heldout=1)
    for k in range(7):
        _write(tmp_path / f"hit{k}.csv", _rows(peak=4.0 + k))
    impacts = read_impacts(tmp_path, settings)
    assert [impact.label for impact in impacts] == [f"hit{k}" for k in range(7)]
    assert sorted(impact.role for impact in impacts) == ["calibration"] * 2 + ["heldout"] + ["training"] * 4
    (tmp_path / "hit6.csv").unlink()
    with pytest.raises(InputError, match=r"found 6 CSV files.*= 7"):
        read_impacts(tmp_path, settings)
    with pytest.raises(InputError, match="existing folder"):
        read_impacts(tmp_path / "nowhere", settings)
