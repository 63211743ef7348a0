"""Equations as MathML when the site is built: browsers draw it themselves, without scripts, fonts or a network."""

from __future__ import annotations

import html
import re
from typing import Any

from latex2mathml.converter import convert

_EQUATION = re.compile(r'<(span|div) class="arithmatex">(?:\\\((.*?)\\\)|\\\[(.*?)\\\])</\1>', re.DOTALL)


def mathml(text: str) -> str:
    """TeX between the marks of arithmatex as MathML; everything else stays."""

    def one(match: re.Match[str]) -> str:
        inline, display = match.group(2), match.group(3)
        tex = html.unescape(inline if display is None else display).strip()
        return convert(tex, display="inline" if display is None else "block")

    return _EQUATION.sub(one, text)


def on_page_content(html: str, **_: Any) -> str:
    """MkDocs hook."""
    return mathml(html)
