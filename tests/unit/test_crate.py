"""`understudy crate`: a run's records as a Provenance Run Crate that the profile's own validator accepts, offline."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import pytest
from conftest import Project
from test_audit import DATASET, METRICS, MODELS, PROGRAMS, Run

from understudy.errors import InputError
from understudy.provenance.audit import audit
from understudy.provenance.crate import write_crate
from understudy.provenance.file_checks import run_tree
from understudy.provenance.run_checks import check_crate
from understudy.provenance.run_folder import CRATE_FILE, file_sha256

CONTEXT = "https://w3id.org/ro/crate/1.1/context"
# The terms of that context that crates use: those of schema.org by their own names, and these (read in the published
# https://www.researchobject.org/ro-crate/specification/1.1/context.jsonld). A test holds that there are no others.
OTHER_TERMS = {
    "File": "http://schema.org/MediaObject",
    "ComputationalWorkflow": "https://bioschemas.org/ComputationalWorkflow",
    "FormalParameter": "https://bioschemas.org/FormalParameter",
    "input": "https://bioschemas.org/ComputationalWorkflow#input",
    "output": "https://bioschemas.org/ComputationalWorkflow#output",
    "conformsTo": "http://purl.org/dc/terms/conformsTo",
}
SCHEMA_ORG = [
    "ComputerLanguage",
    "ControlAction",
    "CreateAction",
    "CreativeWork",
    "Dataset",
    "HowTo",
    "HowToStep",
    "Organization",
    "OrganizeAction",
    "Person",
    "PropertyValue",
    "SoftwareApplication",
    "SoftwareSourceCode",
    "about",
    "actionStatus",
    "additionalProperty",
    "additionalType",
    "agent",
    "contentSize",
    "creator",
    "datePublished",
    "description",
    "encodingFormat",
    "endTime",
    "exampleOfWork",
    "hasPart",
    "instrument",
    "license",
    "mainEntity",
    "mentions",
    "name",
    "object",
    "position",
    "programmingLanguage",
    "propertyID",
    "result",
    "softwareRequirements",
    "startTime",
    "step",
    "subjectOf",
    "unitCode",
    "url",
    "value",
    "version",
    "workExample",
]
TERMS = {**{name: f"http://schema.org/{name}" for name in SCHEMA_ORG}, **OTHER_TERMS}


class CratedRun(Run):
    """A finished run whose repository has a Snakefile, with its crate."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        (self.root / "rules").mkdir()
        for name in ("Snakefile", "rules/axon.smk", "LICENSE"):
            (self.root / name).write_text(f"# {name}\n")
        self.crate()

    def crate(self, agent: str | None = "A Person") -> Path:
        return write_crate(run_tree(self.folder)[0], self.root, agent)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> CratedRun:
    return CratedRun(tmp_path_factory.mktemp("crated"))


def entities(path: Path) -> dict[str, dict]:
    return {entity["@id"]: entity for entity in json.loads(path.read_text())["@graph"]}


def ids(value: list[dict] | dict) -> set[str]:
    return {entry["@id"] for entry in (value if isinstance(value, list) else [value])}


def test_a_crate_that_describes_other_files_is_named(made: CratedRun, tmp_path: Path) -> None:
    folder = tmp_path / "small"
    shutil.copytree(made.folder, folder)
    (folder / "workflow/Snakefile").write_text("# another\n")
    (folder / "workflow/rules/axon.smk").unlink()
    (folder / "report.html").write_text("another")
    found = {(entry["kind"], entry["file"]) for entry in check_crate(run_tree(folder)[0])}
    assert found == {
        ("changed_file", "workflow/Snakefile"),
        ("missing_file", "workflow/rules/axon.smk"),
        ("stale_crate", CRATE_FILE),
    }
    (folder / CRATE_FILE).write_text("[]")
    assert [entry["kind"] for entry in check_crate(run_tree(folder)[0])] == ["unreadable_file"]


def test_each_record_is_an_action_with_its_files_keys_and_times(made: CratedRun) -> None:
    found = entities(made.folder / CRATE_FILE)
    record = json.loads(made.record(DATASET).read_text())
    action = found[f"#job/{record['job']}"]
    assert action["@type"] == "CreateAction" and ids(action["instrument"]) == {"workflow/scripts/simulate_axons.py"}
    assert (action["startTime"], action["endTime"]) == (record["time"]["start"], record["time"]["end"])
    assert ids(action["result"]) == {DATASET} and found[DATASET]["sha256"] == file_sha256(made.folder / DATASET)
    assert found[DATASET]["contentSize"] == str((made.folder / DATASET).stat().st_size)
    assert "axon/config/simulate_axons.yaml" in ids(action["object"])
    values = {found[name]["name"]: found[name]["value"] for name in ids(action["object"]) if "value" in found[name]}
    assert values == {"study": "axon", "seed": 5, "impacts.training": 6}
    facts = {found[name]["name"]: found[name]["value"] for name in ids(action["additionalProperty"])}
    assert facts["code fingerprint"] == record["code"]["fingerprint"]
    assert found["#agent"]["name"] == "A Person" and ids(action["agent"]) == {"#agent"}
    assert len(
        [entity for name, entity in found.items() if name.startswith("#job/") and "instrument" in entity]
    ) == len(PROGRAMS)


def test_raw_data_is_told_without_its_place(made: CratedRun) -> None:
    text = (made.folder / CRATE_FILE).read_text()
    assert "atlas.trk" in text and str(made.atlas.parent) not in text
    assert file_sha256(made.atlas) in text


def test_every_reference_leads_to_an_entity_and_every_term_has_a_meaning(made: CratedRun) -> None:
    content = json.loads((made.folder / CRATE_FILE).read_text())
    assert content["@context"][0] == CONTEXT
    known = TERMS.keys() | content["@context"][1].keys() | {"@id", "@type"}
    found = {entity["@id"] for entity in content["@graph"]}
    assert len(found) == len(content["@graph"])
    for entity in content["@graph"]:
        kinds = entity["@type"] if isinstance(entity["@type"], list) else [entity["@type"]]
        assert {*entity, *kinds} <= known, entity
        for value in entity.values():
            for target in value if isinstance(value, list) else [value]:
                if isinstance(target, dict) and not target["@id"].startswith("http"):
                    assert target["@id"] in found, target


def test_equal_records_give_equal_crates_and_the_audit_stays_clean(made: CratedRun, tmp_path: Path) -> None:
    first = (made.folder / CRATE_FILE).read_bytes()
    made.crate()
    assert (made.folder / CRATE_FILE).read_bytes() == first
    assert audit(made.folder, report=True, root=made.root)["findings"] == []


def test_without_a_workflow_or_records_there_is_no_crate(made: CratedRun, tmp_path: Path) -> None:
    tree, _ = run_tree(made.folder)
    with pytest.raises(InputError, match="found no Snakefile"):
        write_crate(tree, tmp_path)
    tree.records.clear()
    with pytest.raises(InputError, match="found no records"):
        write_crate(tree, made.root)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The validator's request cache with the one context that crates name, so that it needs no network."""
    import requests
    import requests_cache
    import urllib3
    from requests.adapters import BaseAdapter

    class Here(BaseAdapter):
        def send(self, request, **_):  # type: ignore[no-untyped-def]
            response = requests.Response()
            response.status_code, response.url, response.request = 200, request.url, request
            response.headers["Content-Type"] = "application/ld+json"
            body = io.BytesIO(json.dumps({"@context": TERMS}).encode())
            response.raw = urllib3.HTTPResponse(
                body, response.headers, 200, preload_content=False, request_url=request.url
            )
            return response

        def close(self) -> None:
            pass

    path = tmp_path_factory.mktemp("cache") / "requests"
    with requests_cache.CachedSession(str(path), backend="sqlite", expire_after=-1) as session:
        session.mount("https://w3id.org", Here())
        session.get(CONTEXT, headers={"Accept": "application/ld+json"})
    return path


def problems(crate: Path, cache: Path) -> list[str]:
    """What the validator says against a crate at the level of requirements."""
    from rocrate_validator import services
    from rocrate_validator.models import Severity, ValidationSettings

    settings = ValidationSettings(
        rocrate_uri=str(crate),
        profile_identifier="provenance-run-crate-0.5",
        requirement_severity=Severity.REQUIRED,
        offline=True,
        cache_path=str(cache),
    )
    return [str(issue.message) for issue in services.validate(settings).get_issues()]


def test_validator_accepts_the_crate(made: CratedRun, cache: Path) -> None:
    assert problems(made.folder, cache) == []


def test_validator_accepts_the_crate_of_a_finished_study(project: Project, cache: Path) -> None:
    done = project.run("understudy", "crate", "results/tiny")
    assert done.returncode == 0, done.stderr
    assert problems(project.folder / "results/tiny", cache) == []


def test_validator_refuses_a_crate_without_an_instrument(made: CratedRun, cache: Path, tmp_path: Path) -> None:
    """The negative control: one job does not say what made it, one result is gone, one model is no longer a file."""
    shutil.copytree(made.folder, tmp_path / "crate")
    path = tmp_path / "crate" / CRATE_FILE
    content = json.loads(path.read_text())
    job = json.loads(made.record(MODELS).read_text())["job"]
    for entity in content["@graph"]:
        if entity["@id"] == f"#job/{job}":
            del entity["instrument"]
    path.write_text(json.dumps(content))
    (tmp_path / "crate" / METRICS).unlink()
    found = " ".join(problems(tmp_path / "crate", cache))
    assert "instrument property" in found and METRICS in found
