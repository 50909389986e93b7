"""Expressions as text, and the columns that they read: both taken from the expression's tree.

narwhals prints an expression for people: `1` and `"1"` read the same there, and a set in another order in each process.
Definitions are compared by their text, so that here every two expressions that differ differ in text, and equal ones
never do. The tree is no public part of narwhals: the version in the lock has it, and tests hold what is read of it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import narwhals as nw

from vouch.features.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Iterator

_WORD = re.compile(r"[^\W\d]\w*")
_VALUES = frozenset({"None", "True", "False", "nan", "inf"})
"""Words that a value other than a text is written as."""
_BY_PLACE = frozenset({"all", "exclude", "nth", "selectors"})
_OF_COLUMNS = ("names", "partition_by", "order_by")
"""Settings of a step that name columns."""


def as_text(expression: nw.Expr) -> str:
    """Return the expression as one line: equal for equal expressions, in every process, and for no others.

    Raises DefinitionError for a value that has no text of its own, such as a function.
    """
    return ".".join(map(_step, expression._nodes))


def _step(node: Any) -> str:
    if node.name == "col":
        return f"col({', '.join(map(_word, node.kwargs['names']))})"
    values = [as_text(value) if isinstance(value, nw.Expr) else _value(value) for value in node.exprs]
    settings = [f"{name}={_value(value)}" for name, value in node.kwargs.items()]
    return f"{node.name}({', '.join([*values, *settings])})"


def _value(value: Any) -> str:
    if isinstance(value, str):
        return _word(value)
    if isinstance(value, set | frozenset):
        return f"{{{', '.join(sorted(map(repr, value)))}}}"
    text = repr(value)
    if " at 0x" in text:
        raise DefinitionError(f"A definition holds {text}, which is another one in each process: write the values out")
    return text


def _word(text: str) -> str:
    return text if _WORD.fullmatch(text) and text not in _VALUES else repr(text)


def columns_of(expression: nw.Expr) -> frozenset[str]:
    """Return the names of all columns that the expression reads, those that it groups or orders by among them.

    Raises DefinitionError where it takes columns by their place or kind, so that nobody can tell which.
    """
    return frozenset(_columns(expression))


def _columns(expression: nw.Expr) -> Iterator[str]:
    for node in expression._nodes:
        if node.name.partition(".")[0] in _BY_PLACE:
            raise DefinitionError(f"A definition takes columns by {node.name}(): name each column that it reads")
        for setting in _OF_COLUMNS:
            yield from node.kwargs.get(setting, ())
        for value in node.exprs:
            if isinstance(value, nw.Expr):
                yield from _columns(value)
            elif isinstance(value, str) and not node.str_as_lit:  # a text in the place of an expression is a column
                yield value
