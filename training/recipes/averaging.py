"""Averaging ensemble of LightGBM models: one that says the mean of their log-odds, each worth its share.

It is a LightGBM model like any other, so that it is scored and explained like any other.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vouch.models.scoring.trees import load_lightgbm

if TYPE_CHECKING:
    from collections.abc import Sequence

_SHARED = re.compile(r"^(leaf_value|internal_value|shrinkage)=(.*)$", re.MULTILINE)
_SIZES = re.compile(r"^tree_sizes=.*\n", re.MULTILINE)
_TREE, _END = "\nTree=", "end of trees"


def averaged(texts: Sequence[str]) -> str:
    """Return the text of the mean of models, given as text, that read the same features."""
    if len(texts) == 1:
        return texts[0]
    head, _, rest = texts[0].partition(_TREE)
    tail = rest[rest.index(_END) :]
    trees = [_shared(tree, len(texts)) for text in texts for tree in _trees(text)]
    numbered = [f"{_TREE}{number}\n{tree}" for number, tree in enumerate(trees)]
    joined = _SIZES.sub("", head) + "".join(numbered) + "\n" + tail
    return str(load_lightgbm().Booster(model_str=joined).model_to_string())


def _trees(text: str) -> list[str]:
    """The trees of a model without their numbers."""
    blocks = text[: text.index(_END)].split(_TREE)[1:]
    return [block.partition("\n")[2] for block in blocks]


def _shared(tree: str, count: int) -> str:
    """A tree that is worth its share of what it was."""

    def share(line: re.Match[str]) -> str:
        return f"{line[1]}={' '.join(repr(float(value) / count) for value in line[2].split())}"

    return _SHARED.sub(share, tree)
