"""Examples in docstrings are true, in every module that has one."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
MODULES = sorted(
    path.relative_to(ROOT).with_suffix("")
    for folder in ("features", "models", "training", "serving")
    for path in (ROOT / folder).rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_the_examples_of_a_module_are_true(path):
    module = importlib.import_module(".".join(("vouch", *path.parts)).removesuffix(".__init__"))
    failed, tried = doctest.testmod(module)
    assert tried
    assert not failed
