"""Golden files: texts made from definitions and kept, so that a change of what is computed is read before it is taken.

`make golden` writes them anew and says what differs; read the difference before a commit. A test holds that what stands
in them is made still, line by line and in its order. What is made beyond that was added: it is listed, and breaks
nothing, so that a new feature or metric is one file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vouch.features.metrics import catalogue
from vouch.features.vectors import build, sentences
from vouch.serving.docs.metric_catalogue import catalogue_page

ROOT = Path(__file__).parents[2]
FILES = {
    ROOT / "tests" / "golden" / "definitions.txt": lambda: "\n".join(build.feature_definition_lines()) + "\n",
    ROOT / "tests" / "golden" / "metrics.txt": lambda: "\n".join(catalogue.metric_definition_lines()) + "\n",
    ROOT / "tests" / "golden" / "sentences.txt": lambda: "\n".join(sentences.golden_lines()) + "\n",
    ROOT / "features" / "metrics" / "definitions" / "CATALOGUE.md": catalogue_page,
}


@dataclass(frozen=True)
class Difference:
    """Lines of a kept text that are made no more, or in another place, and lines that it lacks."""

    gone: tuple[str, ...]
    added: tuple[str, ...]


def difference(kept: str, made: str) -> Difference:
    """Compare by line, each with the heading that it stands under."""
    before, after = list(_lines(kept)), list(_lines(made))
    places, last, gone = {line: place for place, line in enumerate(after)}, -1, []
    for line in before:
        if places.get(line, -1) > last:
            last = places[line]
        else:
            gone.append(line[1])
    stood = set(before)
    return Difference(tuple(gone), tuple(line[1] for line in after if line not in stood))


def _lines(text: str) -> Iterator[tuple[str, str]]:
    heading = ""
    for line in text.splitlines():
        heading = line if line.startswith("#") else heading
        if line:
            yield heading, line


def write() -> Iterator[str]:
    """Write all files anew, and give a line about each difference."""
    for path, make in FILES.items():
        made = make()
        found = difference(path.read_text(encoding="utf-8") if path.exists() else "", made)
        path.write_text(made, encoding="utf-8")
        yield from (f"{path.name}: gone: {line}" for line in found.gone)
        yield from (f"{path.name}: added: {line}" for line in found.added)


if __name__ == "__main__":
    for told in write():
        print(told)
