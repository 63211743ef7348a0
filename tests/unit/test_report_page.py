"""The report page and report.json, from a whole run folder in the form in which the workflow leaves it."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image
from report_run import AUDIT, TARGETS, write_run

from understudy.errors import InputError
from understudy.provenance.job import job
from understudy.report.page import write_report

VOID = {"meta", "link", "img", "br"}


class Page(HTMLParser):
    """Checks nesting while it reads, and collects what the tests ask for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.images: list[dict[str, str]] = []
        self.loaded: list[str] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {key: value or "" for key, value in attrs}
        if tag not in VOID:
            self.open.append(tag)
        if "id" in values:
            self.ids.append(values["id"])
        if tag == "a" and values["href"].startswith("#"):
            self.targets.append(values["href"][1:])
        if tag == "img":
            self.images.append(values)
        self.loaded += [values[key] for key in ("src", "srcset", "data") if key in values]
        if tag == "link":
            self.loaded.append(values["href"])

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.text += data


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results") / "demo"
    write_run(folder)
    # A real job, so that the page lists a real record.
    with job(
        program="judge_results",
        inputs={},
        outputs={"audit": folder / "audit.json"},
        parameters={},
        seed=5,
        run_folder=folder,
    ) as this:
        this.temporary("audit").write_text(json.dumps(AUDIT))
    write_report(folder, ["axon"], AUDIT, folder / "report.html", folder / "report.json")
    return folder


@pytest.fixture(scope="module")
def page(run: Path) -> Page:
    return Page((run / "report.html").read_text(encoding="utf-8"))


def test_page_is_self_contained_and_well_formed(run: Path, page: Page) -> None:
    assert all(address.startswith("data:") for address in page.loaded)
    assert "<script" not in (run / "report.html").read_text(encoding="utf-8")
    assert set(page.targets) <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))


def test_every_picture_is_whole_and_described(page: Page) -> None:
    # 12 scatters and 12 learning curves with a key, five figures for each of three groups, four of the study's own.
    assert len(page.images) == 12 + 12 + 1 + 3 * 5 + 4
    for image in page.images:
        assert len(image["alt"]) >= 9
        kind, content = image["src"].split(";base64,")
        assert kind == "data:image/webp"
        with Image.open(io.BytesIO(base64.b64decode(content))) as picture:
            assert picture.width > 300 and np.asarray(picture.convert("L")).std() > 3  # not an empty sheet


def test_page_says_what_matters(page: Page) -> None:
    text = re.sub(r"\s+", " ", page.text)
    assert "The fibre field is synthetic" in text
    assert "gradient boosting better: the network is not worth it here" in text
    assert "the network adds nothing here" in text
    assert "1 of 2 checks pass" in text
    assert "direct simulation would take 68.4 min of one core (extrapolated" in text  # 13,234 x 0.31 s
    assert "R2 = 1 - SSE/SST" in text and "NRMSE = RMSE/(max - min" in text
    assert "uncommitted <code>" in text  # escaped in the source, whole for the reader
    assert "judge_results" in text and text.count("audit.json.prov.json") == 1
    assert "2.01 min" in text and "812 MB" in text  # benchmark of simulate_axons
    assert not re.search(r"\bnan\b", text, re.IGNORECASE)


def test_study_tells_its_own_story(run: Path, page: Page) -> None:
    """The lead figure first, sections where their slots are, tables with marks, and what was not reached by name."""
    text = re.sub(r"\s+", " ", page.text)
    heads = ("Twice the same. Direct", "In short", "What was run", "What was asked", "Accuracy on held-out data")
    order = [text.rindex(words) for words in heads]
    assert order == sorted(order)
    assert page.images[0]["alt"] == "Twice the same. Direct, surrogate, difference."
    titles = ("axon-goals", "axon-accuracy", "axon-worth", "axon-tracts", "axon-intervals", "axon-limits", "axon-cost")
    places = [page.ids.index(name) for name in titles]
    assert places == sorted(places)
    assert {"axon-goals", "axon-tracts", "axon-cost"} <= set(page.targets)
    assert "Asked & measured." in text and "Second <b>." in text
    assert "✗ 0.91" in text and "floor 0.95" in text and "✓ 0.9 s" in text and "Floor: of the simulation." in text
    html = (run / "report.html").read_text(encoding="utf-8")
    assert '<td colspan="2"><span class="chip better">' in html and '<td class="n">0.99</td>' in html
    assert "Not reached, although asked at least: R² on the worst case (tau 0.91)." in text
    assert text.index("Not reached") < text.index("On 1 000 held-out cases")
    study = json.loads((run / "report.json").read_text())["studies"]["axon"]
    assert study["goals"][0]["measured"][0]["value"] == 0.91 and len(study["in_short"]) == 1


def test_every_row_of_a_table_has_all_columns(run: Path) -> None:
    tables = re.findall(r"<table.*?</table>", (run / "report.html").read_text(encoding="utf-8"), re.DOTALL)
    widths = []
    for table in tables:
        rows = re.findall(r"<tr.*?</tr>", table, re.DOTALL)
        # A cell counts as often as it spans columns.
        cells = [[int(span or 1) for span in re.findall(r'<t[hd](?:[^>]*?colspan="(\d+)")?', row)] for row in rows]
        widths.append({sum(spans) for spans in cells})
    assert len(widths) > 10 and [found for found in widths if len(found) != 1] == []
    intervals = next(table for table in tables if "Bootstrap interval" in table)
    assert re.search(r">\d\d\.\d–\d\d\.\d %<", intervals)


def test_baselines_intervals_stand_beside_the_networks(page: Page) -> None:
    text = re.sub(r"\s+", " ", page.text)
    assert "Mean width, Gaussian process" in text and text.count("0.042191.3 %") == 12
    assert "those of the baselines, calibrated on the same cases" in text


def test_cost_in_core_hours(run: Path, page: Page) -> None:
    text = re.sub(r"\s+", " ", page.text[page.text.rindex("Processor time in core hours") :])
    assert "Injury model" in text and "0.06" in text.split("Everything")[0]  # 230.1 s
    assert "Never timed" not in text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda sections: sections[0].update(slot="appendix"), "slot 'appendix'; accepted are headline, accuracy"),
        (lambda sections: sections[1].update(id="goals"), "section id 'goals'; accepted are"),
        (lambda sections: sections[0]["table"]["rows"].append(["R²"]), "row 4: found 1 columns; accepted are 4"),
        (lambda sections: sections[0]["table"]["rows"][1][2].update(mark="fine"), "mark 'fine'; accepted are better"),
        (lambda sections: sections[1]["figures"][0].update(file="none.png"), "none.png: no such file"),
    ],
)
def test_section_without_a_place_or_form_is_refused(run: Path, tmp_path: Path, change: Callable, said: str) -> None:
    copy = _broken(run, tmp_path)
    path = copy / "axon" / "figures" / "presentation.json"
    presentation = json.loads(path.read_text())
    change(presentation["sections"])
    path.write_text(json.dumps(presentation))
    with pytest.raises(InputError, match=re.escape(said)):
        _write(copy)


def test_study_without_a_story_has_a_page_too(run: Path, tmp_path: Path) -> None:
    """Without sections, lead, goals, costs and intervals of baselines; and with all cases simulated directly too."""
    copy = _broken(run, tmp_path)
    path = copy / "axon" / "figures" / "presentation.json"
    presentation = json.loads(path.read_text())
    for key in ("lead", "sections", "goals", "in_short", "cost_groups"):
        del presentation[key]
    path.write_text(json.dumps(presentation))
    metrics = copy / "axon" / "surrogate" / "metrics.json"
    content = json.loads(metrics.read_text())
    del content["baseline_intervals"]
    metrics.write_text(json.dumps(content))
    shutil.rmtree(copy / "benchmarks")
    deployment = copy / "axon" / "deployment.json"
    whole = {"direct_n": 13234, "direct_wall_s": 2100.0}
    deployment.write_text(json.dumps(json.loads(deployment.read_text()) | whole))
    text = _write(copy)
    assert "direct simulation took 35 min on 2 cores (measured)" in text and "extrapolated" not in text
    page = Page(text)
    assert "axon-cost" not in page.ids and "axon-accuracy" in page.ids
    assert json.loads((copy / "new.json").read_text())["studies"]["axon"]["goals"] == []


def test_surrogate_in_use_tells_two_costs_apart_and_its_facts_in_words(run: Path, tmp_path: Path) -> None:
    """The study's own timing is the headline wherever the page says a cost; the other stands beside it in words."""
    copy = _broken(run, tmp_path)
    path = copy / "axon" / "figures" / "presentation.json"
    presentation = json.loads(path.read_text())
    presentation["direct_cost"] = {"seconds_per_case": 0.62, "includes": "the engine alone"}
    deployment = copy / "axon" / "deployment.json"
    noted = {"seconds_per_case": 1.4e-4, "features_s": 0.6535, "speed_error_max": 0.008115, "outside": 1284, "new": 2}
    deployment.write_text(json.dumps(json.loads(deployment.read_text()) | noted))
    presentation["other_direct_cost"] = {"seconds_per_case": 0.31, "includes": "the mean of the ground truth"}
    path.write_text(json.dumps(presentation))
    text = re.sub(r"\s+", " ", Page(_write(copy)).text)
    # 13,234 cases in 1.9 s.
    assert "would take 2.28 h of one core (extrapolated from its measured time per case), 4 320 times as" in text
    assert "At 310 ms per case, the mean of the ground truth, it would take 2 160 times as long" in text
    assert "Direct simulation, per case (the engine alone)" in text and "4 320 ×" in text
    for words in (
        "input features, all cases654 ms", "speed, largest0.81 %", "their input is not known1 284", "New2",
    ):  # fmt: skip
        assert words in text
    assert "Features s" not in text and "Seconds per case" not in text
    # The numbers stay those of the file, against which the audit holds them, and the study's own stand beside them.
    written = json.loads((copy / "new.json").read_text())["studies"]["axon"]
    assert written["deployment"] == json.loads(deployment.read_text())
    assert written["direct_cost"] == presentation["direct_cost"]


def test_report_json_keeps_the_contract(run: Path) -> None:
    report = json.loads((run / "report.json").read_text())
    assert report["run"] == "demo"
    assert report["audit"]["passed"] is True and len(report["audit"]["findings"]) == 2
    study = report["studies"]["axon"]
    metrics = json.loads((run / "axon" / "surrogate" / "metrics.json").read_text())
    assert study["n_train"] == 500 and study["n_heldout"] == metrics["n_heldout"]
    assert set(study["targets"]) == set(TARGETS)
    for target in TARGETS:
        assert {"unit", "r2", "nrmse", "mape", "pearson_r", "coverage90"} <= study["targets"][target].keys()
        assert study["targets"][target] == metrics["targets"][target]
        assert 0 < study["targets"][target]["nrmse"] < 1  # a fraction, not per cent
    assert {"random", "grouped"} == study["cross_validation"].keys()
    assert [point["n"] for point in study["learning_curve"]] == [50, 100, 200, 300, 500]
    assert set(study["baselines"]["peak_strain"]) == set(TARGETS)
    assert {"n", "seconds", "seconds_per_case_direct"} <= study["deployment"].keys()
    assert {"name", "value", "expected", "tolerance", "passed"} <= study["verification"][0].keys()


def test_same_input_gives_the_same_bytes(run: Path, tmp_path: Path) -> None:
    write_report(run, ["axon"], AUDIT, tmp_path / "again.html", tmp_path / "again.json")
    assert (tmp_path / "again.html").read_bytes() == (run / "report.html").read_bytes()
    assert (tmp_path / "again.json").read_bytes() == (run / "report.json").read_bytes()


def _broken(run: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "demo"
    shutil.copytree(run, copy)
    return copy


def _write(run: Path, audit: dict = AUDIT) -> str:
    write_report(run, ["axon"], audit, run / "new.html", run / "new.json")
    return (run / "new.html").read_text(encoding="utf-8")


def test_failed_audit_and_unjudged_coverage_show(run: Path, tmp_path: Path) -> None:
    copy = _broken(run, tmp_path)
    path = copy / "axon" / "surrogate" / "metrics.json"
    metrics = json.loads(path.read_text())
    for target in TARGETS:
        metrics["coverage_judgement"][target] |= {"passed": None, "low": None, "high": None}
        metrics["targets"][target]["mape"] = float("nan")
        for baseline in metrics["paired"].values():
            baseline[target] |= {"low": None, "high": None}
    path.write_text(json.dumps(metrics))
    finding = {"severity": "failure", "kind": "changed_file", "file": "axon/ground_truth.h5", "message": "other bytes"}
    text = _write(copy, {"passed": False, "findings": [finding]})
    assert "audit failed: 1 failure<" in text
    assert "too few cases or groups to judge that" in text and "not judged: too few held-out groups" in text
    assert json.loads((copy / "new.json").read_text())["studies"]["axon"]["targets"]["tau_failed"]["mape"] is None


def test_constant_output_is_judged_nowhere(run: Path, tmp_path: Path) -> None:
    """Its R2 of rounding errors and its intervals without width enter no verdict, no table and no count."""
    copy = _broken(run, tmp_path)
    surrogate = copy / "axon" / "surrogate"
    target = TARGETS[1]
    with h5py.File(surrogate / "predictions.h5", "r+") as file:
        for name in ("truth", "mean", "lower", "upper"):
            file["heldout"][name][:, 1] = -2.5
    metrics = json.loads((surrogate / "metrics.json").read_text())
    for errors in (metrics["targets"], metrics["subsets"]["random"]["targets"]):
        errors[target] |= {"r2": None, "nrmse": None, "coverage90": 1.0, "interval_width": 0.0}
    # As an evaluation writes it: sums of equal numbers are not exactly their multiple.
    metrics["cross_validation"]["random"][target] = {"r2": 1.0, "nrmse": None}
    metrics["cross_validation"]["grouped"][target] = {"r2": 0.25, "nrmse": None}
    metrics["noise_floor"][target] = {"r2": 1.0, "nrmse": None}
    metrics["coverage_judgement"][target] |= {"coverage": 1.0, "low": 1.0, "high": 1.0, "passed": False}
    metrics["baseline_intervals"]["gaussian_process"][target] = {"coverage": 0.0, "width": 0.0}
    for baseline in metrics["paired"].values():
        baseline[target] = {"difference_nrmse": None, "low": None, "high": None}
    (surrogate / "metrics.json").write_text(json.dumps(metrics))
    text = re.sub(r"\s+", " ", Page(_write(copy)).text)
    assert "not judged: the output is constant" in text and "not judged: too few held-out groups" not in text
    label = "Peak axolemma strain"
    assert f"Constant in the held-out cases and not judged: {label} (reference gap layout)" in text
    assert "of 11 outputs agree" in text and "of 11 outputs (paired" in text
    assert f"{label}——not judged0" in text
    assert "0.750 higher" not in text
    # Programs are told which it is; the numbers stay those of the evaluation, against which the audit holds them.
    entry = json.loads((copy / "new.json").read_text())["studies"]["axon"]
    assert entry["constant"] == [target]
    assert entry["cross_validation"] == metrics["cross_validation"]
    assert entry["coverage_judgement"] == metrics["coverage_judgement"]


@pytest.mark.parametrize(
    "name", ["surrogate/metrics.json", "surrogate/predictions.h5", "verification.json", "figures/pulses.png"]
)
def test_missing_file_is_named(run: Path, tmp_path: Path, name: str) -> None:
    copy = _broken(run, tmp_path)
    (copy / "axon" / name).unlink()
    with pytest.raises(InputError, match=re.escape(name)):
        _write(copy)


def test_foreign_predictions_are_refused(run: Path, tmp_path: Path) -> None:
    copy = _broken(run, tmp_path)
    with h5py.File(copy / "axon" / "surrogate" / "predictions.h5", "a") as file:
        del file["heldout/lower"]
    with pytest.raises(InputError, match="accepted is a file of held-out predictions"):
        _write(copy)
