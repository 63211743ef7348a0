"""The index over several studies: on the page of a run, and over published results."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from urllib.parse import urldefrag

import pytest
from report_run import AUDIT, write_run
from test_cli import status
from test_report_page import Page

from understudy.errors import InputError
from understudy.provenance.fingerprint import REPOSITORY
from understudy.provenance.job import job
from understudy.provenance.run_folder import REPORT_FILES
from understudy.report import panels
from understudy.report.goals import GOAL, MISSED, Goal, Measured, goals_for_programs, goals_table
from understudy.report.origins import read_origins
from understudy.report.overview import count_reached, figure_id, read_claims, study_overview, verified
from understudy.report.page import write_report
from understudy.report.published import INDEX_FILE, published_index

GOALS = (
    Goal(
        "R²",
        "R²",
        "Worst case",
        "0.91–0.98",
        "0.95",
        "0.99",
        (
            Measured("a", 0.97, "0.97", "at least", "floor 0.99"),
            Measured("b", 0.995, "0.995", GOAL),
            Measured("c", 0.5, "0.5", MISSED),
        ),
    ),
    Goal("Time", "time", "Use", "12 s", "3 s", "1 s", (Measured("", 0.9, "0.9 s", GOAL),)),
)


def goals_section() -> dict:
    table = {**goals_table(GOALS, ["A", "B", "C"]), "caption": ""}
    return {"id": "goals", "slot": "headline", "title": "What was asked", "text": [], "table": table}


def write_two_studies(folder: Path) -> None:
    """A run of two studies with goals, one of whose figures a recorded job drew."""
    write_run(folder)
    presentation = folder / "axon" / "figures" / "presentation.json"
    content = json.loads(presentation.read_text())
    content["sections"][0] = goals_section()
    content["goals"] = goals_for_programs(GOALS)
    presentation.write_text(json.dumps(content))
    shutil.copytree(folder / "axon", folder / "tms")
    lead = folder / "axon" / "figures" / content["lead"]["file"]
    picture = lead.read_bytes()
    lead.unlink()
    with job(
        program="draw_axon",
        study="axon",
        inputs={"metrics": folder / "axon/surrogate/metrics.json"},
        outputs={"lead": lead},
        parameters={},
        run_folder=folder,
    ) as this:
        this.temporary("lead").write_bytes(picture)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results") / "demo"
    write_two_studies(folder)
    # The page's own figures, whose drawing takes most of the time, are tested elsewhere.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(panels, "drawn", lambda figure, alt: panels.Picture("data:,", alt))
        write_report(folder, ["axon", "tms"], AUDIT, folder / "report.html", folder / "report.json")
    return folder


def words_of(html: str) -> str:
    """What a reader sees, cells of tables apart."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html)).replace(" ,", ",")


def test_goals_table_is_read_as_claims() -> None:
    outputs, claims = read_claims({"sections": [goals_section()]}, "here")
    assert outputs == ("A", "B", "C")
    assert [claim.part for claim in claims] == ["Worst case", "", "Use", ""]
    assert (claims[1].published, claims[1].least, claims[1].goal) == ("0.91–0.98", "0.95", "0.99")
    assert [(cell.text, cell.mark) for cell in claims[1].measured] == [
        ("0.97", "equal"),
        ("0.995", "better"),
        ("0.5", "worse"),
    ]
    assert claims[1].reached.text == "goal 1 of 3" and claims[3].reached.text == "goal"
    assert read_claims({}, "here") == ((), ())


def test_counts_and_checks_are_told_apart() -> None:
    assert count_reached(goals_for_programs(GOALS)) == {"missed": 1, "at least": 1, "goal": 2}
    found = verified(
        [
            {"name": "one", "part": "cable", "passed": True},
            {"name": "two", "passed": True},
            {"name": "three", "part": "cable", "passed": False},
        ]
    )
    assert [(entry.part, entry.passed, entry.total, entry.failed) for entry in found] == [
        ("cable", 1, 2, ((3, "three"),)),
        ("physics", 1, 1, ()),
    ]


def test_page_of_a_run_opens_with_the_index(run: Path) -> None:
    html = (run / "report.html").read_text()
    page, text = Page(html), words_of(html)
    assert set(page.targets) <= set(page.ids) and len(page.ids) == len(set(page.ids))
    order = [page.ids.index(name) for name in ("index-claims", "index-verification", "index-compute", "axon", "tms")]
    assert order == sorted(order) and page.ids.index("index-figures") > page.ids.index("tms-limits")
    assert text.count("0.91–0.98 0.95 0.99 0.97, 0.995, 0.5 goal 1 of 3") == 2
    assert "2 reach the goal 1 reach what was asked at least 1 missed" in text
    assert text.count("1 of 2 pass") == 2 and {"axon-check-2", "tms-check-2"} <= set(page.targets)
    # 230.1 s of processor time were measured for a rule of one study, none for the other.
    assert "Injury model 2.01 min 0.064" in text


def test_each_figure_names_its_job_and_record(run: Path) -> None:
    html = (run / "report.html").read_text()
    lead = json.loads((run / "axon/figures/presentation.json").read_text())["lead"]["file"]
    assert f'<figure class="lead" id="{figure_id("axon", lead)}">' in html
    record = f"axon/figures/{lead}.prov.json"
    origin = next(origin for origin in read_origins(run).jobs if origin.record == record)
    row = re.search(rf'<tr id="{origin.anchor}">.*?</tr>', html)[0]
    assert f'<a href="#{origin.anchor}">record</a>' in html and f"<code>{record}</code>" in row and "draw_axon" in row
    # The page lies in a run's folder and among published results, where a study's files have not its name in front.
    # What it links holds at both places; its own record is written when the page is finished.
    both = {"report.json", *(f"{file}.prov.json" for file in REPORT_FILES)}
    assert set(re.findall(r'<a [^>]*href="([^"#]+)"', html)) <= both
    assert "Made by draw_axon</a>" in html and html.count(">no record<") > 0
    presentation = json.loads((run / "axon/figures/presentation.json").read_text())
    metrics = {"n_train": 1, "n_heldout": 1}
    made = study_overview("axon", presentation, metrics, [], [], read_origins(run)).figures
    assert made[0].program == "draw_axon" and made[0].inputs == ("axon/surrogate/metrics.json",)
    assert [figure.program for figure in made[-5:]] == ["write_report"] * 5


def publish_by_hand(run: Path, reference: Path, study: str) -> None:
    """The files of a published study that its index reads."""
    folder = reference / study
    shutil.copytree(run / study / "figures", folder / "figures")
    (folder / "report.html").write_text((run / "report.html").read_text())
    (folder / "report.json").write_text((run / "report.json").read_text())


def test_index_of_published_results(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for study in ("axon", "tms"):
        publish_by_hand(run, tmp_path, study)
    assert status("publish", "--reference", str(tmp_path)) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / INDEX_FILE)
    html = (tmp_path / INDEX_FILE).read_text()
    assert html == published_index(tmp_path)
    page = Page(html)
    assert words_of(html).count("0.97, 0.995, 0.5 goal 1 of 3") == 2
    # Links lead to files beside the index, and to places on their pages.
    story = Page((run / "report.html").read_text())
    for link in set(re.findall(r'href="([^"]+\.html#[^"]+)"', html)):
        file, place = urldefrag(link)
        assert (tmp_path / file).is_file() and place in story.ids, link
    assert "axon/figures/" in html and all((tmp_path / image["src"]).is_file() for image in page.images)


def test_index_is_of_what_lies_there(run: Path, tmp_path: Path) -> None:
    assert "Nothing is published yet" in published_index(tmp_path)
    publish_by_hand(run, tmp_path, "axon")
    assert "1 study at the published scale" in words_of(published_index(tmp_path))
    (tmp_path / "axon").rename(tmp_path / "other")
    with pytest.raises(InputError, match="found no study 'other'"):
        published_index(tmp_path)


def test_run_and_study_are_published_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status("publish", str(tmp_path)) == 2 and status("publish", "--study", "axon") == 2
    assert "accepted are both" in capsys.readouterr().err


def test_the_repositorys_index_is_up_to_date() -> None:
    reference = REPOSITORY / "results" / "reference"
    assert (reference / INDEX_FILE).read_text() == published_index(reference), "run: understudy publish"
