"""The ``understudy`` command: help, configuration, and errors without tracebacks."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from understudy import cli
from understudy.cli import main
from understudy.surrogate import profile_files

COMMANDS = (
    "audit",
    "trace",
    "rerun-case",
    "predict",
    "crate",
    "pack",
    "resume",
    "publish",
    "plan",
    "doctor",
    "configuration",
)


def status(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return ended.value.code


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert status("--help") == 0
    text = capsys.readouterr().out
    assert all(name in text for name in COMMANDS) and "90 % intervals" in text


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(command, "--help") == 0
    assert len(capsys.readouterr().out.splitlines()) > 5


def test_no_command_is_refused() -> None:
    assert status() == 2
    assert status("audit") == 2
    assert status("audit", "x", "--", "--cores", "2") == 2


def test_configuration_is_compared_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = ("--folder", str(tmp_path))
    assert status("configuration", "--check", *folder) == 1
    assert list(tmp_path.iterdir()) == []
    assert status("configuration", *folder) == 0
    assert "training_profiles" in (tmp_path / "config/config.yaml").read_text()
    assert "axon" in json.loads((tmp_path / "workflow/config.schema.json").read_text())["properties"]
    assert status("configuration", "--check", *folder) == 0
    (tmp_path / "config/config.yaml").write_text("run: other\n")
    capsys.readouterr()
    assert status("configuration", "--check", *folder) == 1
    assert "config.yaml: is not what the models say" in capsys.readouterr().out


@pytest.mark.parametrize("command", [("audit",), ("publish", "--study", "axon"), ("resume",)])
def test_what_is_no_run_is_named(command: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name, *options = command
    assert status(name, str(tmp_path / "nothing"), *options) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and "nothing" in error and "Traceback" not in error


def test_a_run_without_results_and_wrong_numbers_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/configuration.yaml").write_text("run: new\nstudies: [axon]\n")
    assert status("audit", str(tmp_path)) == 2
    assert "found no results" in capsys.readouterr().err
    for option in ("--replay", "--seed"):
        assert status("audit", str(tmp_path), option, "-3") == 2
        assert f"{option}: found -3; accepted is at least 0" in capsys.readouterr().err
    (tmp_path / "config/configuration.yaml").write_text("x")
    assert status("audit", str(tmp_path)) == 1
    assert "unreadable_file  config/configuration.yaml" in capsys.readouterr().out


@pytest.fixture
def predictions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Models that were asked to predict; the repository is empty."""
    used: list[Path] = []

    def predict_file(definition, model, input_path, output_path, **options):  # type: ignore[no-untyped-def]
        used.append(model)
        return 3, 1

    monkeypatch.setattr(profile_files, "predict_file", predict_file)
    monkeypatch.setattr(cli, "REPOSITORY", tmp_path)
    return used


PREDICT = ("predict", "axon", "--input", "profiles.csv", "--output", "injury.csv")


def test_published_model_predicts_by_default(
    predictions: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "results/reference/axon/surrogate/models.h5"
    model.parent.mkdir(parents=True)
    model.touch()
    assert status(*PREDICT) == 0
    assert predictions == [model]
    said = capsys.readouterr()
    assert str(model) in said.err and "published" in said.err
    assert said.out == "injury.csv: 3 predictions, 1 flagged as unlike the training data\n"


def test_a_named_model_is_used_without_a_word(predictions: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert status(*PREDICT, "--model", "own/models.h5") == 0
    assert predictions == [Path("own/models.h5")] and capsys.readouterr().err == ""


def test_no_published_model_is_said(predictions: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert status(*PREDICT) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: --model: found none") and "results/<run>/<study>/surrogate/models.h5" in error
    assert predictions == []
    assert status("predict", "heart", *PREDICT[2:]) == 2
    assert "study: found 'heart'; accepted are axon, calcium, tms" in capsys.readouterr().err


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    # A long answer, without a run that it would be of; the docstring is the command's help.
    answer = "def long(_):\n    'Help.'\n    print('x' * 10**6)\n"
    program = f"from understudy import cli\n{answer}cli._trace = long\ncli.main(['trace', 'file'])"
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.read(1) == "x"
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 128 + signal.SIGPIPE
