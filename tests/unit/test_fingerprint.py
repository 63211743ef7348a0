"""The code fingerprint: what moves it, what leaves it alone, and what it costs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from understudy.errors import InputError
from understudy.provenance.fingerprint import REPOSITORY, closure, combined, fingerprint, fingerprint_files

MODULES = {
    "scripts/simulate_things.py": """
from understudy.body import mechanics
from understudy.body.config import Limits
from understudy.errors import InputError
from understudy.provenance.job import job

print(mechanics.solve(1))
""",
    "scripts/train_things.py": """
from understudy.learning.training import train
from understudy.study import load

train(load("body"))
""",
    "scripts/write_report.py": "from understudy.report.page import page\n\nprint(page())\n",
    "src/understudy/errors.py": "class InputError(ValueError):\n    pass\n",
    "src/understudy/study.py": "def load(name):\n    return name\n",
    "src/understudy/body/config.py": "class Limits:\n    low = 1\n",
    "src/understudy/body/mechanics.py": '''"""Mechanics."""

import numpy as np

from understudy import shared
from .tissue import stiffness


def solve(x):
    """Solve it."""
    from understudy.lazy import late  # runs only here

    return np.sum(stiffness(x)) + shared.constant + late()
''',
    "src/understudy/body/tissue.py": "def stiffness(x):\n    return 2 * x\n",
    "src/understudy/body/surrogate.py": "import torch\n\nSURROGATE = torch\n",
    "src/understudy/body/channel.mod": "NEURON { SUFFIX a }\n",
    "src/understudy/shared.py": "constant = 3\n",
    "src/understudy/lazy.py": "def late():\n    return 1\n",
    "src/understudy/unused.py": "value = 1\n",
    "src/understudy/learning/training.py": "import sklearn\n\n\ndef train(x):\n    return sklearn, x\n",
    "src/understudy/provenance/job.py": "def job():\n    return 1\n",
    "src/understudy/report/page.py": "def page():\n    return 1\n",
    "src/understudy/report/page.html": "<html></html>\n",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small project with the layout of this one."""
    for name, text in MODULES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if name.startswith("src"):
            (path.parent / "__init__.py").touch()
    return tmp_path


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_closure_follows_every_form_of_import(tree: Path) -> None:
    modules = set(closure("simulate_things", root=tree))
    expected = {"", "understudy.body.mechanics", "understudy.body.tissue", "understudy.shared", "understudy.lazy"}
    assert modules == expected


def test_what_cannot_change_a_result_is_left_out(tree: Path) -> None:
    files = fingerprint_files("simulate_things", root=tree)["files"]
    assert not {"src/understudy/body/config.py", "src/understudy/errors.py", "src/understudy/provenance/job.py"} & set(
        files
    )
    assert "src/understudy/unused.py" not in files
    assert "src/understudy/body/channel.mod" in files


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("scripts/simulate_things.py", "solve(1)", "solve(2)"),
        ("src/understudy/body/mechanics.py", "+ late()", "- late()"),
        ("src/understudy/body/tissue.py", "2 * x", "3 * x"),
        ("src/understudy/shared.py", "3", "4"),
        ("src/understudy/lazy.py", "return 1", "return 2"),
        ("src/understudy/body/channel.mod", "SUFFIX a", "SUFFIX b"),
    ],
)
def test_logic_and_data_change_it(tree: Path, file: str, old: str, new: str) -> None:
    before = fingerprint("simulate_things", root=tree)
    edit(tree / file, old, new)
    assert fingerprint("simulate_things", root=tree) != before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("src/understudy/body/tissue.py", "def stiffness", "# a comment\n\n\ndef stiffness"),
        (
            "src/understudy/body/tissue.py",
            "    return 2 * x",
            '    """A docstring."""\n    return (2 *\n            x)',
        ),
        ("src/understudy/body/mechanics.py", '"""Solve it."""', '"""Solve it, differently put."""'),
        ("src/understudy/body/mechanics.py", '"""Mechanics."""', ""),
        ("src/understudy/body/config.py", "low = 1", "low = 2"),
        ("src/understudy/provenance/job.py", "return 1", "return 2"),
        ("src/understudy/report/page.py", "return 1", "return 2"),
        ("src/understudy/unused.py", "1", "2"),
    ],
)
def test_words_layout_and_foreign_modules_do_not(tree: Path, file: str, old: str, new: str) -> None:
    before = fingerprint("simulate_things", root=tree)
    edit(tree / file, old, new)
    assert fingerprint("simulate_things", root=tree) == before


def test_touch_does_not(tree: Path) -> None:
    before = fingerprint("simulate_things", root=tree)
    for path in tree.rglob("*.py"):
        os.utime(path, (1, 1))
    assert fingerprint("simulate_things", root=tree) == before


def test_report_counts_for_its_programs_alone(tree: Path) -> None:
    assert set(fingerprint_files("write_report", root=tree)["files"]) == {
        "scripts/write_report.py",
        "src/understudy/report/page.html",
        "src/understudy/report/page.py",
    }
    edit(tree / "scripts/simulate_things.py", "print", "from understudy.report import page\n\nprint")
    assert not any("report" in name for name in fingerprint_files("simulate_things", root=tree)["files"])


def test_study_joins_programs_that_load_one_by_name(tree: Path) -> None:
    shared = fingerprint_files("train_things", "body", root=tree)
    assert "src/understudy/body/surrogate.py" in shared["files"]
    assert set(shared["versions"]) == {"scikit-learn", "torch"}
    assert "src/understudy/body/surrogate.py" not in fingerprint_files("train_things", root=tree)["files"]
    own = fingerprint("simulate_things", root=tree)
    assert fingerprint("simulate_things", "body", root=tree) == own


def test_versions_of_numerical_libraries_enter(tree: Path) -> None:
    found = fingerprint_files("simulate_things", root=tree)
    assert set(found["versions"]) == {"numpy"}
    assert combined(found["files"], {"numpy": "0.1"}) != found["digest"]
    assert combined(found["files"], found["versions"]) == found["digest"]


def test_imports_for_type_checkers_never_run(tree: Path) -> None:
    before = closure("simulate_things", root=tree).keys()
    guard = "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    from understudy import unused\n"
    edit(tree / "src/understudy/shared.py", "constant", f"{guard}constant")
    assert closure("simulate_things", root=tree).keys() == before


@pytest.mark.parametrize(("program", "study", "named"), [("nothing", None, "nothing.py"), ("train_things", "x", "'x'")])
def test_unknown_program_or_study_is_named(tree: Path, program: str, study: str | None, named: str) -> None:
    with pytest.raises(InputError, match=named):
        fingerprint(program, study, root=tree)


def test_broken_python_is_named(tree: Path) -> None:
    (tree / "src/understudy/shared.py").write_text("constant = = 3\n")
    with pytest.raises(InputError, match=r"shared\.py"):
        fingerprint("simulate_things", root=tree)


def test_same_in_another_process_and_folder(tree: Path) -> None:
    command = (
        "import sys; from understudy.provenance.fingerprint import fingerprint; print(fingerprint('simulate_axons'))"
    )
    run = subprocess.run([sys.executable, "-c", command], cwd=tree, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == fingerprint("simulate_axons")


def test_every_file_is_parsed_once_for_all_programs() -> None:
    """Snakemake computes all fingerprints when it reads the rules; `benchmarks/overheads.py graph` takes the time."""
    programs = sorted(path.stem for path in (REPOSITORY / "scripts").glob("*.py"))
    assert programs
    command = f"""
import ast, collections
from understudy.provenance.fingerprint import fingerprint
parsed, parse = collections.Counter(), ast.parse
def counted(content, filename):
    parsed[filename] += 1
    return parse(content, filename=filename)
ast.parse = counted
for program in {programs}:
    fingerprint(program, "axon")
print(len(parsed), max(parsed.values()))
"""
    run = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    files, most = map(int, run.stdout.split())
    assert files > len(programs)
    assert most == 1


def test_snakefile_needs_only_the_standard_library() -> None:
    command = (
        "import sys, understudy.provenance.fingerprint; print(sorted({name.split('.')[0] for name in sys.modules}))"
    )
    run = subprocess.run(
        [sys.executable, "-S", "-c", command],
        env={"PYTHONPATH": str(REPOSITORY / "src")},
        text=True,
        capture_output=True,
        check=True,
    )
    assert "numpy" not in run.stdout and "pydantic" not in run.stdout and "yaml" not in run.stdout
