"""Equations as MathML when the site is built: browsers draw it themselves, without scripts, fonts or a network."""

from __future__ import annotations

import html
import re
from typing import Any

from latex2mathml.converter import convert

_EQUATION = re.compile(r'<(span|div) class="arithmatex">(?:\\\((.*?)\\\)|\\\[(.*?)\\\])</\1>', re.DOTALL)
_PRIMES = re.compile(r"'{2,}")
_BOLD = re.compile(r'<m([in]) mathvariant="bold">([A-Za-z0-9])</m\1>')
# First of the bold letters and digits in Unicode: browsers know them, and no longer the attribute that asks for bold.
_FIRST_BOLD = {"A": 0x1D400, "a": 0x1D41A, "0": 0x1D7CE}


def _bold(match: re.Match[str]) -> str:
    kind, letter = match.groups()
    first = "0" if letter.isdigit() else ("A" if letter.isupper() else "a")
    return f"<m{kind}>{chr(_FIRST_BOLD[first] + ord(letter) - ord(first))}</m{kind}>"


def mathml(text: str) -> str:
    """TeX between the marks of arithmatex as MathML; everything else stays."""

    def one(match: re.Match[str]) -> str:
        inline, display = match.group(2), match.group(3)
        tex = html.unescape(inline if display is None else display).strip()
        # After an index the converter sets the second of two primes as a power of all that is before it.
        tex = _PRIMES.sub(lambda primes: "^{" + r"\prime" * len(primes.group()) + "}", tex)
        return _BOLD.sub(_bold, convert(tex, display="inline" if display is None else "block"))

    return _EQUATION.sub(one, text)


def on_page_content(html: str, **_: Any) -> str:
    """MkDocs hook."""
    return mathml(html)
