"""The configuration: refused by key name before any job starts, generated files in step with the models."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from understudy import settings
from understudy.errors import InputError

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"sead": 1}, ["sead: unknown key", "did you mean seed"]),
        ({"axon": {"head": {"element": 4}}}, ["axon.head.element: unknown key", "element_mm"]),
        ({"axon": {"injury": {"dt_us": 4}}}, ["axon.injury.dt_us: unknown key", "dt_ms"]),
        ({"axon": {"head": {"element_mm": "4 cm"}}}, ["element_mm", "'cm'", "'mm'"]),
        ({"axon": {"impacts": {"training": -3}}}, ["axon.impacts.training", "-3", "greater than or equal"]),
        ({"axon": {"impacts": {"training": "many"}}}, ["axon.impacts.training", "'many'", "integer"]),
        ({"axon": {"surrogate": {"cross_validation": {"folds": 99}}}}, ["cross_validation.folds", "99", "36"]),
        ({"axon": {"impacts": {"axial_share": 0.9}}}, ["axial_share", "sum", "accepted is 1"]),
        ({"axon": {"impacts": {"source": "csv"}}}, ["csv_folder", "found none"]),
        ({"axon": {"impacts": {"velocity_min_rad_per_s": 50}}}, ["velocity_min_rad_per_s", "50", "35"]),
        ({"axon": {"tissue": {"prony_moduli": [0.5]}}}, ["prony_times_s", "2 times for 1"]),
        ({"axon": {"fibres": {"url": "https://a.b/c.trk"}}}, ["sha256", "found none"]),
        ({"axon": {"injury": {"sex": "other"}}}, ["axon.injury.sex", "'other'", "male"]),
        ({"run": "reference"}, ["run", "reference"]),
        ({"run": "../up"}, ["run", "../up"]),
        ({"studies": ["heart"]}, ["studies", "heart", "axon"]),
        ({"seed": float("nan")}, ["seed", "nan"]),
        ({"seed": True}, ["seed: found true", "no truth value"]),
        ({"axon": {"head": {"element_mm": False}}}, ["element_mm: found false"]),
        ({"axon": None}, ["axon: found nothing; accepted are keys below it"]),
    ],
)
def test_wrong_values_are_refused_by_key_name(values: dict, words: list[str]) -> None:
    with pytest.raises(InputError) as problem:
        settings.load(values, "config.yaml")
    for word in ("config.yaml", *words):
        assert word in str(problem.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seed: 1\naxon: {head: {element_mm: 4, element_mm: 5}}\n", "the key element_mm stands twice in"),
        ("seed: 1\nrun: x\nseed: 2\n", "line 3"),
        ("seed: [1\n", "found no YAML"),
        (None, "cannot be read"),
    ],
)
def test_a_file_of_no_or_two_meanings_is_named_in_one_line(tmp_path: Path, text: str | None, words: str) -> None:
    path = tmp_path / "mine.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError) as problem:
        settings.read_file(path)
    assert str(path) in str(problem.value) and words in str(problem.value) and "\n" not in str(problem.value)


def test_a_section_may_be_merged_into_another(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("one: &one {a: 1, b: 2}\ntwo: {<<: *one, b: 3}\n")
    assert settings.read_file(path) == {"one": {"a": 1, "b": 2}, "two": {"a": 1, "b": 3}}


def test_a_data_folder_that_was_asked_for_is_there(tmp_path: Path) -> None:
    settings.require_data_dir(settings.load({}))
    settings.require_data_dir(settings.load({"data_dir": str(tmp_path)}))
    with pytest.raises(InputError, match=r"data_dir: found '.*/nowhere'"):
        settings.require_data_dir(settings.load({"data_dir": str(tmp_path / "nowhere")}))


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(InputError) as problem:
        settings.load({"sead": 1, "axon": {"head": {"element_mm": -4}, "injury": {"dx": 1}}})
    assert "3 problem(s)" in str(problem.value)


def test_value_with_its_own_unit_is_accepted() -> None:
    assert settings.load({"axon": {"head": {"element_mm": "6 mm"}}}).axon.head.element_mm == 6


@pytest.mark.parametrize("path", list(settings.generated_files()))
def test_generated_file_is_in_step_with_the_models(path: str) -> None:
    """If this fails, run `understudy configuration`."""
    assert (REPOSITORY / path).read_text() == settings.generated_files()[path]


def test_config_yaml_holds_the_defaults() -> None:
    assert settings.load(yaml.safe_load((REPOSITORY / "config" / "config.yaml").read_text())) == settings.load({})


def test_every_key_has_unit_source_and_description() -> None:
    for dotted, field in settings.all_fields():
        extra = field.json_schema_extra
        assert field.description, dotted
        assert extra["unit"], dotted
        assert extra["source"], dotted


def test_demo_and_tiny_are_accepted_and_have_at_least_five_heldout_impacts() -> None:
    for path in ("config/demo.yaml", "tests/tiny.yaml"):
        configuration = settings.load(yaml.safe_load((REPOSITORY / path).read_text()), path)
        assert configuration.axon.impacts.heldout >= 5


def test_stage_file_holds_only_what_the_stage_reads() -> None:
    values = settings.stage_values(settings.load({}), "axon", "sample_profiles")
    assert set(values) == {"study", "seed", "sampling"}
    assert values["sampling"]["training_profiles"] == 2000


def test_unchanged_file_keeps_its_time(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.yaml"
    settings.write_if_different(path, "x")
    before = path.stat().st_mtime_ns
    settings.write_if_different(path, "x")
    assert path.stat().st_mtime_ns == before
    settings.write_if_different(path, "y")
    assert path.read_text() == "y"


def test_unwritable_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file where a folder should be")
    with pytest.raises(InputError, match="results"):
        settings.write_if_different(tmp_path / "results" / "a.yaml", "x")


@pytest.mark.parametrize("text", ["[1, 2]", "a: 1", "{"])
def test_foreign_stage_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "stage.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match="stage file"):
        settings.read_stage(path)
