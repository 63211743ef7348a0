"""The commands of the documentation do what the pages say.

A line ``<!-- run -->`` above a fenced block has it run, in a copy of the project; ``<!-- run: axon -->`` in a copy with
a finished small run of that study, whose names stand in for those of the demo. ``exits 1`` is the expected status,
``slow`` leaves the block to the slow tests. Blocks of one page and place run in order in one folder. A line
``<!-- prints -->`` above a block gives the output, ``...`` for anything.
"""

from __future__ import annotations

import doctest
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import REPOSITORY, Project, copy_project

DOCS = REPOSITORY / "docs"
BLOCK = re.compile(
    r"^<!-- run(?:: (?P<words>[^>]*?))? -->\n```(?P<language>bash|python)\n(?P<text>.*?)^```$"
    r"(?:\n\n<!-- prints -->\n```text\n(?P<output>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)
STUDIES = {"axon": "tiny", "tms": "tiny_tms", "calcium": "tiny_calcium"}
"""Study -> name of its small run."""


@dataclass(frozen=True)
class Block:
    """One block of a page that is run; ``place`` is a study whose small run it works in, or empty."""

    page: str
    place: str
    slow: bool
    status: int
    language: str
    text: str
    output: str | None


def blocks(page: Path) -> list[Block]:
    """The marked blocks of a page, in order."""
    found = []
    for match in BLOCK.finditer(page.read_text()):
        words = [word.strip() for word in (match["words"] or "").split(",") if word.strip()]
        status = next((int(word.split()[1]) for word in words if word.startswith("exits ")), 0)
        place = next((word for word in words if word in STUDIES), "")
        unknown = [word for word in words if word not in (place, "slow") and not word.startswith("exits ")]
        assert not unknown, f"{page}: {unknown}"
        name = page.relative_to(DOCS).as_posix()
        found.append(Block(name, place, "slow" in words, status, match["language"], match["text"], match["output"]))
    return found


BLOCKS = [block for page in sorted(DOCS.rglob("*.md")) for block in blocks(page)]


def run(block: Block, project: Project) -> None:
    """Run a block in a project's folder and compare status and output."""
    text = block.text
    if block.place:
        small = STUDIES[block.place]
        text = text.replace("config/demo.yaml", project.configuration).replace("results/demo", f"results/{small}")
    command = ["bash", "-euo", "pipefail", "-c", text] if block.language == "bash" else [sys.executable, "-c", text]
    done = subprocess.run(
        command,
        cwd=project.folder,
        env=project.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # Below the limit of a test; a first call compiles kernels.
        timeout=540,
    )
    said = f"{block.page}:\n{block.text}\n{done.stdout}"
    assert done.returncode == block.status, said
    if block.output is not None:
        # Dots that stand for lines before or after what is shown stand for none too.
        wanted = re.sub(r"(^|\n)\.\.\.(\n|$)", "...", block.output)
        options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        assert doctest.OutputChecker().check_output(wanted, done.stdout, options), said


def selected(place: str, slow: bool) -> list[pytest.param]:
    """Pages with blocks for a place, each as one case."""
    pages = sorted({block.page for block in BLOCKS if block.place == place and block.slow == slow})
    return [pytest.param(page, id=page.removesuffix(".md")) for page in pages]


def run_page(page: str, place: str, slow: bool, project: Project) -> None:
    for block in BLOCKS:
        if (block.page, block.place, block.slow) == (page, place, slow):
            run(block, project)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of the project with its published results."""
    project = copy_project(tmp_path_factory.mktemp("documentation") / "project")
    (project.folder / "results").mkdir()
    (project.folder / "results" / "reference").symlink_to(REPOSITORY / "results" / "reference")
    return project


@pytest.mark.parametrize("page", selected("", slow=False))
def test_commands_without_a_run(page: str, published: Project) -> None:
    run_page(page, "", False, published)


@pytest.mark.slow
@pytest.mark.parametrize("page", selected("", slow=True))
def test_longer_commands_without_a_run(page: str, published: Project) -> None:
    run_page(page, "", True, published)


@pytest.mark.parametrize("page", selected("axon", slow=False))
def test_commands_in_a_run(page: str, project: Project) -> None:
    run_page(page, "axon", False, project)


@pytest.mark.slow
@pytest.mark.parametrize("page", selected("axon", slow=True))
def test_longer_commands_in_a_run(page: str, project: Project) -> None:
    run_page(page, "axon", True, project)


def test_every_mark_is_above_a_block_that_is_run() -> None:
    for page in DOCS.rglob("*.md"):
        marks = len(re.findall(r"^<!-- run", page.read_text(), re.MULTILINE))
        assert marks == len(blocks(page)), page
    assert len(BLOCKS) > 20 and {block.place for block in BLOCKS} <= {"", "axon"}
