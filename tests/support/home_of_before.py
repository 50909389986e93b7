"""A home that release 0.1.0 left: two weeks of 24 customers, two champions, a store with a key, an ask and an override.

`tests/golden/home_0.1.0.tar.xz` was made by that release's own code; `told.json` in it holds what its service answered.
"""

from __future__ import annotations

import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[1] / "golden" / "home_0.1.0.tar.xz"


@dataclass(frozen=True)
class Before:
    """The home, the tables that it was made from, and what was answered then."""

    home: Path
    company: Path
    told: dict[str, Any]


def home_of_before(folder: Path) -> Before:
    """Unpack it into a folder."""
    with tarfile.open(FILE) as archive:
        # Python 3.11.3 and older know no filters.
        archive.extractall(folder, **({"filter": "fully_trusted"} if hasattr(tarfile, "data_filter") else {}))
    return Before(folder / "home", folder / "company", json.loads((folder / "told.json").read_text(encoding="utf-8")))
