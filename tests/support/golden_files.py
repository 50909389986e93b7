"""Golden files: texts made from definitions and kept, so that a change of what is computed is read before it is taken.

`make golden` writes them anew and says what differs; read the difference before a commit. A test holds that what stands
in them is made still, line by line and in its order. What is made beyond that was added: it is listed, and breaks
nothing, so that a new feature or metric is one file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vouch.features.metrics import catalogue
from vouch.features.vectors import build
from vouch.features.vectors.declare import load_families
from vouch.features.vectors.sentences import forms_of, sentence
from vouch.features.vectors.words import meaning
from vouch.serving.docs.metric_catalogue import catalogue_page

EXAMPLES: Mapping[str, Sequence[str]] = {
    "flag": ("0", "1"),
    "category": ("mid_market",),
    "share": ("0", "0.333333", "1"),
    "share of scale": ("0.25",),
    "polarity": ("-0.67", "0.1"),
    "log ratio": ("-6.2", "-0.693147", "0.3", "7.64"),
    "days": ("0.239", "1", "12.6", "64.1", "800"),
    "hours": ("0.4", "30", "162.2"),
    "minutes": ("0.75", "100.017"),
    "score": ("3.25", "9"),
    "money": ("-67.07", "12.5", "2075"),
    "money per month": ("-49", "217.8"),
    "points": ("-3", "2"),
}
"""Values by unit that the golden sentences are made for; others are told for 0, 1 and 2,075."""


def golden_sentences() -> Iterable[str]:
    """Give every feature in every language for some values, to be read by eye."""
    for name in load_families():
        of = meaning(name)
        if of is None:
            continue
        yield f"# {name}"
        written = [case for case in forms_of(of.key, "en") if of.unit == "category" and case != "absent"]
        for value in ("unknown", *written, *EXAMPLES.get(of.unit, ("0", "1", "2075"))):
            yield f"{value}: " + " | ".join(sentence(name, value, language) for language in ("en", "ko", "ro"))


ROOT = Path(__file__).parents[2]
FILES = {
    ROOT / "tests" / "golden" / "definitions.txt": lambda: "\n".join(build.feature_definition_lines()) + "\n",
    ROOT / "tests" / "golden" / "metrics.txt": lambda: "\n".join(catalogue.metric_definition_lines()) + "\n",
    ROOT / "tests" / "golden" / "sentences.txt": lambda: "\n".join(golden_sentences()) + "\n",
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
