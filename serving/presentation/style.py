"""The style sheet of page and report: the colours and looks of charts, and what stands around them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from vouch.features.charts.html_templates import CHARTS

HERE = Path(__file__).parent


@cache
def style_sheet() -> str:
    """The whole style sheet as text."""
    parts = (CHARTS / "palette.css", HERE / "style.css", CHARTS / "charts.css")
    return "\n".join(path.read_text(encoding="utf-8") for path in parts)
