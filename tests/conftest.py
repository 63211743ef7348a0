"""What tests share: a private copy of the project and a finished small run in it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock

REPOSITORY = Path(__file__).resolve().parents[1]
PARTS = ("Snakefile", "rules", "scripts", "src", "config", "profiles", "workflow", "envs", "tests", "pyproject.toml")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that need a finished run come first: making these takes longest, and another worker has work meanwhile.

    Of them one file for each run leads, so that workers make different runs and none waits for another's.
    """
    needed = [{name for name in getattr(item, "fixturenames", ()) if name.startswith("finished")} for item in items]
    # The longest first.
    order = ("finished_calcium", "finished", "finished_tms")
    leaders = {}
    for item, names in zip(items, needed, strict=True):
        if len(names) == 1 and item.path not in leaders.values():
            leaders.setdefault(*names, item.path)
    places = {leaders[name]: place for place, name in enumerate(order) if name in leaders}
    keys = {
        item.nodeid: places.get(item.path, len(order) + (not names)) for item, names in zip(items, needed, strict=True)
    }
    items.sort(key=lambda item: keys[item.nodeid])


@dataclass(frozen=True)
class Project:
    """A copy of the project whose files a test may change; ``configuration`` is that of its small run."""

    folder: Path
    configuration: str = "tests/tiny.yaml"

    @property
    def environment(self) -> dict[str, str]:
        """Variables under which programs use the copy's library and this test's Python."""
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        return {**os.environ, "PYTHONPATH": str(self.folder / "src"), "PATH": path, "OMP_NUM_THREADS": "1"}

    def run(self, *command: str, timeout: float = 300) -> subprocess.CompletedProcess:
        """Run a program of this environment in the copy's folder."""
        return subprocess.run(
            [str(Path(sys.executable).parent / command[0]), *command[1:]],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def snakemake(self, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess:
        """Snakemake at the tiny scale on two cores."""
        return self.run("snakemake", "--cores", "2", "--configfile", self.configuration, *arguments, timeout=timeout)

    def planned(self, *arguments: str) -> set[str]:
        """Rules that Snakemake would run now (targets without a shell command left out)."""
        process = self.snakemake("-n", *arguments)
        text = process.stdout + process.stderr
        assert process.returncode == 0, text
        table = re.search(r"^Job stats:\njob +count\n[- ]+\n(.*?)^total", text, re.MULTILINE | re.DOTALL)
        if table is None:
            assert "Nothing to be done" in text, text
            return set()
        return {line.split()[0] for line in table.group(1).splitlines() if line.strip()} - {
            "all",
            "axon",
            "calcium",
            "tms",
            "report",
        }


def copy_project(folder: Path, configuration: str = Project.configuration) -> Project:
    """The project's own files, without outputs and environments; kernels that this test's Python has compiled go along,
    since compiling them takes minutes."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        source = REPOSITORY / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("*.pyc", "*.egg-info"))
        else:
            shutil.copy2(source, folder / part)
    return Project(folder, configuration)


def finished_run(factory: pytest.TempPathFactory, name: str, configuration: str) -> Project:
    """A copy with a finished run, which pytest-xdist's workers share: the first that needs it makes it."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    project, mark = Project(folder / "project", configuration), folder / "finished"
    with FileLock(f"{folder}.lock"):
        if not mark.exists():
            shutil.rmtree(folder, ignore_errors=True)
            copy_project(project.folder)
            process = project.snakemake(timeout=900)
            assert process.returncode == 0, process.stdout + process.stderr
            keep_kernels(project.folder)
            mark.touch()
    return project


def keep_kernels(folder: Path) -> None:
    """Take kernels that a copy has compiled into the repository: they hold for other copies, and compiling takes
    minutes."""
    for path in (folder / "src").rglob("__pycache__/*.nb[ci]"):
        own = REPOSITORY / path.relative_to(folder)
        if not own.exists():
            own.parent.mkdir(exist_ok=True)
            half = own.with_name(f"{own.name}.{os.getpid()}")
            shutil.copy2(path, half)
            half.replace(own)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy with a finished tiny run; tests that change it take `project` instead."""
    return finished_run(tmp_path_factory, "finished_axon", "tests/tiny.yaml")


@pytest.fixture
def project(finished: Project, tmp_path: Path) -> Project:
    """A test's own copy of the finished run, Snakemake's metadata and file times included."""
    shutil.copytree(finished.folder, tmp_path / "project", symlinks=True)
    return Project(tmp_path / "project")


@pytest.fixture
def empty_project(tmp_path: Path) -> Project:
    """A test's own copy of the project without any results."""
    return copy_project(tmp_path / "project")


@pytest.fixture(scope="session")
def finished_tms(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """As `finished`, of the TMS study."""
    return finished_run(tmp_path_factory, "finished_tms", "tests/tiny_tms.yaml")


@pytest.fixture
def project_tms(finished_tms: Project, tmp_path: Path) -> Project:
    """As `project`, of the TMS study."""
    shutil.copytree(finished_tms.folder, tmp_path / "project", symlinks=True)
    return Project(tmp_path / "project", finished_tms.configuration)


@pytest.fixture(scope="session")
def finished_calcium(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """As `finished`, of the calcium study."""
    return finished_run(tmp_path_factory, "finished_calcium", "tests/tiny_calcium.yaml")


@pytest.fixture
def project_calcium(finished_calcium: Project, tmp_path: Path) -> Project:
    """As `project`, of the calcium study."""
    shutil.copytree(finished_calcium.folder, tmp_path / "project", symlinks=True)
    return Project(tmp_path / "project", finished_calcium.configuration)
