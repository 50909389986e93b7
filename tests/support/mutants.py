"""Model texts as an attacker or a bad disk would hand them over, each with digests that fit, loaded one after another.

`python -m support.mutants HOME SEED COUNT` does it in one process, as the service loads a champion, and prints how many
were refused and how many loaded; it ends otherwise where one of them brings it down, hangs it, or is not an error of
ours.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import sys
from pathlib import Path

import numpy as np

from vouch.features.errors import BundleError
from vouch.models.predictor import load_champion

EXTREMES = ("-1", "0", "1", "2", "31", "255", "65536", "2147483647", "-2147483648", "4294967296", "9" * 30, "1e999",
            "nan", "inf", "-inf", "", "x", "0x10", "1.5", "1e-400")  # fmt: skip
ROUNDING = 1e-13
"""What some hundred sums of numbers of 53 bits may lose of the largest."""
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")


def mutant(draw: random.Random, text: str) -> str:
    """The text with one thing changed."""
    lines = text.split("\n")
    place = draw.randrange(len(text))
    line = draw.randrange(len(lines))
    end = text.index("end of trees")
    kind = draw.randrange(9)
    if kind == 0:
        return text[:place] + chr(draw.randrange(1, 128)) + text[place + 1 :]
    if kind == 1:
        return text[:place]
    if kind == 2:  # a line gone, twice, or in another's place
        other = draw.randrange(len(lines))
        lines[line : line + 1] = draw.choice([[], [lines[line]] * 2, [lines[other]]])
        return "\n".join(lines)
    if kind == 3:
        return text[:place] + text[draw.randrange(len(text)) :]
    numbers = list(NUMBER.finditer(text, 0, end))
    found = draw.choice(numbers)
    if kind in (4, 5):
        new = draw.choice(EXTREMES)
    elif kind == 6:
        new = str(draw.randrange(-40, 40))
    elif kind == 7:  # another number of the same line: children that loop, sets that overlap
        start, stop = text.rfind("\n", 0, found.start()) + 1, text.index("\n", found.end())
        new = draw.choice(NUMBER.findall(text, start, stop))
    else:
        new = found[0] + " " + found[0]
    return text[: found.start()] + new + text[found.end() :]


def reseal(folder: Path, text: str) -> None:
    """Put a text in the place of the model's, with digests that fit."""
    content = text.encode("utf-8")
    (folder / "model.txt").write_bytes(content)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    manifest["files"]["model.txt"] = hashlib.sha256(content).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def run(home: Path, seed: int, count: int) -> tuple[int, int]:
    """Load so many mutants; return how many were refused, and how many are models that give their golden scores."""
    folder = home / "champions" / "churn" / "bundle"
    text = (folder / "model.txt").read_text(encoding="utf-8")
    names = load_champion(home, "churn").names
    draw, refused, loaded = random.Random(seed), 0, 0
    rows = np.random.default_rng(seed).normal(0, 3, size=(64, len(names))).astype(np.float32)
    rows[:8] = np.nan
    for _ in range(count):
        reseal(folder, mutant(draw, text))
        try:
            found = load_champion(home, "churn")
        except BundleError:
            refused += 1
            continue
        loaded += 1
        raw, parts = found.scorer.explained(rows)
        assert np.array_equal(raw, found.scorer.raw(rows))
        largest = np.abs(parts).sum(axis=1)  # a leaf may hold 2**32 where no golden row comes: that much is rounded
        assert (np.abs(found.scorer.base + parts.sum(axis=1) - raw) <= 1e-6 + ROUNDING * largest).all()
        assert np.isfinite(found.scorer.moved(rows[::-1], rows)).all()
    return refused, loaded


if __name__ == "__main__":
    print(*run(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
