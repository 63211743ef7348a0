"""The import rules that fingerprints and the house's layout depend on."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from understudy.provenance.fingerprint import REPOSITORY, imported_names

SOURCE = REPOSITORY / "src" / "understudy"
STUDIES = sorted(path.parent.name for path in SOURCE.glob("*/surrogate.py") if (path.parent / "config.py").exists())
SHARED = ("surrogate", "provenance", "report", "farm", "dataset", "planning", "doctor")
# Modules of a study that are no physics: they read and write files, draw, or describe the surrogate.
NO_PHYSICS = (
    "cell_figures",
    "channel_figures",
    "channel_sections",
    "closures",
    "comparison_figures",
    "comparisons",
    "config",
    "costs",
    "error_figures",
    "farmed_axons",
    "farmed_cases",
    "farmed_courses",
    "farmed_thresholds",
    "field_figures",
    "figure_files",
    "figures",
    "files",
    "goals",
    "hybrid_figures",
    "hybrid_sections",
    "map_figures",
    "map_sections",
    "model_figures",
    "physics_sections",
    "prediction",
    "presentation",
    "replay",
    "study_sections",
    "surrogate",
    "threshold_figures",
    "verification_figures",
    "wave_figures",
)
OUTSIDE_PHYSICS = ("mpi4py", "snakemake", "h5py", "argparse")
DYNAMIC = ("importlib", "runpy", "pkgutil", "imp")
MAY_IMPORT_BY_NAME = ("understudy.study", "understudy.cli", "understudy.planning.studies")


def modules() -> dict[str, Path]:
    """Dotted name -> file of each module."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        if path.name != "__init__.py":
            found[".".join(path.relative_to(SOURCE.parent).with_suffix("").parts)] = path
    return found


MODULES = modules()


def names(module: str) -> set[str]:
    """What a module imports, dotted."""
    return set(imported_names(ast.parse(MODULES[module].read_text()), module))


def below(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def part(module: str) -> str:
    """The room a module is in: ``axon``, ``surrogate``, ``dataset`` ..."""
    return module.split(".")[1]


def test_there_is_something_to_test() -> None:
    assert "axon" in STUDIES
    assert {part(module) for module in MODULES} >= set(SHARED)


@pytest.mark.parametrize("study", STUDIES)
def test_studies_never_import_each_other(study: str) -> None:
    others = [f"understudy.{other}" for other in STUDIES if other != study]
    for module in (module for module in MODULES if part(module) == study):
        assert not [name for name in names(module) for other in others if below(name, other)], module


@pytest.mark.parametrize("room", SHARED)
def test_shared_rooms_never_import_a_study(room: str) -> None:
    for module in (module for module in MODULES if part(module) == room):
        found = [name for name in names(module) for study in STUDIES if below(name, f"understudy.{study}")]
        assert not found, f"{module} imports {found}"


@pytest.mark.parametrize("study", STUDIES)
def test_physics_knows_no_machinery(study: str) -> None:
    """Arrays in, arrays out: no MPI, workflow, HDF5 or command line, nor the rooms that know them."""
    physics = [module for module in MODULES if part(module) == study and module.split(".")[2] not in NO_PHYSICS]
    assert len(physics) > 3
    machinery = (
        *OUTSIDE_PHYSICS,
        "understudy.farm",
        "understudy.provenance",
        "understudy.dataset",
        "understudy.report",
    )
    for module in physics:
        found = [name for name in names(module) for package in machinery if below(name, package)]
        assert not found, f"{module} imports {found}"


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_are_static(module: str) -> None:
    """A computed import would hide code from the fingerprint."""
    if module in MAY_IMPORT_BY_NAME:
        return
    # importlib.resources and importlib.metadata read data and versions: they import nothing of ours.
    harmless = ("importlib.resources", "importlib.metadata")
    dynamic = [
        name
        for name in names(module) - {"importlib"}
        if any(below(name, package) for package in DYNAMIC) and not any(below(name, ok) for ok in harmless)
    ]
    assert not dynamic
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Name):
            assert node.id not in ("__import__", "exec", "eval"), f"{module}, line {node.lineno}"
        if isinstance(node, ast.Attribute):
            assert node.attr != "import_module", f"{module}, line {node.lineno}"


def test_packages_are_empty() -> None:
    for path in SOURCE.rglob("__init__.py"):
        assert path.read_text() == "", path


def test_every_folder_with_modules_is_a_package() -> None:
    for folder in {path.parent for path in MODULES.values()}:
        assert (folder / "__init__.py").is_file(), folder


@pytest.mark.parametrize("script", sorted((REPOSITORY / "scripts").glob("*.py")), ids=lambda path: path.stem)
def test_programs_import_only_the_library(script: Path) -> None:
    """A program that imported its neighbour would escape the fingerprint."""
    neighbours = {path.stem for path in script.parent.glob("*.py")}
    found = set(imported_names(ast.parse(script.read_text())))
    assert not found & neighbours
    assert not any(below(name, package) for name in found for package in DYNAMIC)


@pytest.mark.parametrize("script", sorted((REPOSITORY / "scripts").glob("*.py")), ids=lambda path: path.stem)
def test_report_is_imported_by_its_programs_alone(script: Path) -> None:
    """report/ is left out of the other programs' fingerprints, so they must not depend on it."""
    found = any(below(name, "understudy.report") for name in imported_names(ast.parse(script.read_text())))
    assert not found or script.stem.startswith(("draw_", "judge_results", "write_report"))
