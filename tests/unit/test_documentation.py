"""The documentation site: what is generated, how equations are written, and a strict build that needs no network."""

from __future__ import annotations

import html
import importlib.util
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import pytest

from understudy import settings
from understudy.cli import parser
from understudy.provenance.findings import KINDS
from understudy.provenance.fingerprint import REPOSITORY

DOCS = REPOSITORY / "docs"


def hook(name: str) -> ModuleType:
    """A hook of the site, as MkDocs loads it."""
    spec = importlib.util.spec_from_file_location(name, DOCS / "hooks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def generated() -> ModuleType:
    return hook("generated_text")


def test_equations_become_mathml() -> None:
    mathml = hook("equations").mathml
    inline = mathml(r'a <span class="arithmatex">\(x_1 &lt; \frac{1}{2}\)</span> b')
    assert inline.startswith("a <math") and inline.endswith("</math> b") and "<mfrac>" in inline
    assert 'display="block"' in mathml('<div class="arithmatex">\\[\nE = m c^2\n\\]</div>')
    bold = html.unescape(mathml(r'<span class="arithmatex">\(\mathbf{E} + \mathbf{u} + \mathbf 1\)</span>'))
    assert "\U0001d404" in bold and "\U0001d42e" in bold and "\U0001d7cf" in bold and "bold" not in bold
    for tex in ("u_m''", "u''", "u_m''(x)"):
        primes = html.unescape(mathml(rf'<span class="arithmatex">\({tex}\)</span>'))
        # One raised pair, not a prime raised above another.
        assert re.search("′</mi><mi>′|″", primes)
        assert len(re.findall("<msu(?:bsu)?p>", primes)) == 1, primes
    assert mathml("<p>no equation: (a) [b]</p>") == "<p>no equation: (a) [b]</p>"


def test_reference_is_whole(generated: ModuleType) -> None:
    configuration = generated.configuration()
    keys = [dotted for dotted, _ in settings.all_fields()]
    assert len(keys) > 100 and [key for key in keys if configuration.count(f"| `{key}` |") != 1] == []
    commands = next(action for action in parser()._actions if hasattr(action, "choices") and action.choices).choices
    text = generated.command_line()
    assert [name for name in commands if f"### understudy {name}\n" not in text] == []
    assert "`--replay N`" in text and "%%" not in text and str(REPOSITORY) not in text
    programs = generated.programs()
    assert programs.count("scripts/") == len(list((REPOSITORY / "scripts").glob("*.py")))
    assert all(f"`{kind}`" in generated.findings() for kind in KINDS)


def test_parameters_are_those_of_the_physics(generated: ModuleType) -> None:
    text = generated.parameters("axon")
    assert "| `injury.tau_stiffness_pN_per_nm` | `0.25` | pN/nm |" in text and "recalled: Ahmadzadeh 2014" in text
    assert "`surrogate." not in text and "`network.mixtures`" in text
    assert "| `binding_per_uM_s` | 27 | found |" in generated.calcium_constants()


def test_published_numbers_are_those_of_the_report(generated: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "axon"
    (folder / "figures").mkdir(parents=True)
    checks = [
        {"name": "a | b", "part": "links", "value": 1e-12, "expected": 0.0, "tolerance": 1e-10, "passed": True},
        {"name": "c", "part": "links", "value": 2.0, "expected": "below 1", "tolerance": "sign", "passed": False},
    ]
    (folder / "report.json").write_text(json.dumps({"studies": {"axon": {"verification": checks}}}))
    (folder / "figures" / "presentation.json").write_text(json.dumps({"limits": ["Less than < all."]}))
    text = generated.published(generated.verification, "axon", tmp_path)
    assert "1 of 2 checks" in text and "**Links**" in text and "a \\| b" in text
    assert text.count('class="pass"') == 1 and text.count('class="fail"') == 1
    assert generated.published(generated.limits, "axon", tmp_path) == "- Less than &lt; all.\n"
    assert "is published yet" in generated.published(generated.verification, "calcium", tmp_path)


def test_unknown_name_ends_the_build(generated: ModuleType) -> None:
    assert "| `r2` |" in generated.fill("before\n\n<!-- generated: metrics -->\n")
    with pytest.raises(KeyError):
        generated.fill("<!-- generated: nothing -->")


class Loaded(HTMLParser):
    """Addresses that a browser fetches for a page by itself."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {key: value or "" for key, value in attrs}
        if tag in ("script", "img", "iframe", "source", "video", "object", "embed"):
            self.addresses += [values[key] for key in ("src", "srcset", "data") if values.get(key)]
        if tag == "link":
            self.addresses.append(values.get("href", ""))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("documentation") / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_site_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 12
    for page in pages:
        for address in Loaded(page.read_text()).addresses:
            assert not re.match(r"(?:[a-z]+:)?//", address), f"{page}: {address}"
            # The page for lost visitors names files from the site's root.
            file = site / address.lstrip("/") if page.name == "404.html" else page.parent / address
            assert address.startswith("data:") or file.is_file(), f"{page}: {address}"
    for sheet in site.rglob("*.css"):
        found = re.findall(r"(?:url\(|@import\s+)[\"']?((?:https?:)?//[^\"')]*)", sheet.read_text())
        assert not found, f"{sheet}: {found}"


def test_pages_are_filled_and_searchable(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text()
        assert "<!-- generated" not in text and 'class="arithmatex"' not in text, page
    assert "<math" in (site / "science" / "calcium.html").read_text()
    assert (site / "assets" / "axon-lead.png").is_file() and not (site / "hooks").exists()
    index = (site / "search" / "search_index.js").read_text()
    assert "Why probabilities stay in" in index and "tau_maxwell_ratio" in index


def test_words_in_equations_are_no_products_of_letters() -> None:
    """An index of several letters is upright, but for derivatives such as u_xx and pairs of indices such as g_ij."""
    found = [
        f"{path.name}: {index}"
        for path in DOCS.rglob("*.md")
        for equation in re.findall(r"\$\$?([^$]+)\$", path.read_text())
        for index in re.findall(r"[_^]\{([a-z]{2,})[,}]", equation)
        if index not in {"xx", "ij"}
    ]
    assert found == []
