"""Sanitised texts: what others wrote, without secrets, and without what a terminal, sheet or Markdown acts on.

Every door to the outside (terminal, logs, run summaries, receipts, exports, cards) takes its texts from here, so that
what is safe to show is decided once.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

STRUCK = "***"
SECRET_NAMES = (
    "password|passwd|passphrase|pwd|secret|token|(?:api|access|account|private|shared|storage|encryption)[_-]?key"
    "|signature|credential"
)
"""A parameter or a setting whose name holds one of these holds a secret; so does one that is called `key` alone."""
_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*://"
_IN_TEXT, _ALONE = r"\S", "."  # a location that stands alone may hold blanks
_USERS = {
    within: re.compile(rf"({_SCHEME}[^\s:/?#@]*:)(?!\d{{1,5}}(?:[/?#\s]|$)){within}*@") for within in (_IN_TEXT, _ALONE)
}
_TOKEN = re.compile(r"(https?://)[^\s:/?#@]+@", re.IGNORECASE)
_PUBLIC = r"(?!https?:|wss?:|file:|s3:|gs:)"
_DATABASE = re.compile(rf"\b({_PUBLIC}{_SCHEME}[^\s?]*)\?[^\s'\"]*[^\s'\":,.;)]", re.IGNORECASE)
_NAME = rf"(?:[\w.-]*(?:{SECRET_NAMES})[\w.-]*|pass|key|sig|auth)"
_HEADER = re.compile(
    r"(authorization['\"]?[:=] *['\"]?\w+ +(?=[^\s'\"]{8})|\bbearer +(?=[\w.~+/-]{16}))[^\s'\"]+", re.IGNORECASE
)
_PARAMETER = re.compile(rf"(?<![^\s?&;'\"(,{{])({_NAME}=)('[^']*'|\"[^\"]*\"|[^\s&#'\"]+)", re.IGNORECASE)

_CONTROLS = (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, 0xFFFE, 0xFFFF)
_DIRECTION = (0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0xFEFF)
_HIDDEN = dict.fromkeys(_CONTROLS, " ") | dict.fromkeys(_DIRECTION)
_NAMED = {code: rf"\x{code:02x}" if code < 0x100 else rf"\u{code:04x}" for code in (*_CONTROLS, *_DIRECTION)}
_SIGNS = r"=+\-@\t\r\n\0\uff1d\uff0b\uff0d\uff20"  # the last four: the same signs at full width
_FORMULA = re.compile(rf"\s*[{_SIGNS}]")
_SECOND = re.compile(rf"([;|])(?=[\s\"]*[{_SIGNS}])")
"""Where another cell begins for a spreadsheet whose locale parts cells in another way, and that cell is a formula."""
_MARKDOWN = re.compile(
    r"[\\`*\[\]<>|~&!@]|(?<![^\W_])_|_(?![^\W_])"  # what marks, wherever it stands; `_` within a word marks nothing
    r"|^[#+=-]|(?<=^\d)[.)]|(?<=^\d\d)[.)]"  # what begins a block
    r"|:(?=//)|(?<=www)\."  # what some readers make links of
)
_QUOTED = re.compile(r"'.*'|\".*\"", re.DOTALL)
_NUMBER = re.compile(r"(?<![\w(,.])\d[\d.,]*|(?<=\()-?\d[\d.]*(?= [*/+-])|(?<=[*/+-] )-?\d[\d.]*")
_LONGEST_SHAPE = 40


def redacted(text: str) -> str:
    """A text as it may be shown: without passwords in URLs of any scheme, secret parameters, and keys in headers.

    >>> redacted("postgres://ada:secret@db.example/shop?schema=crm does not answer")
    'postgres://ada:***@db.example/shop does not answer'
    >>> redacted("https://host:8080/a?token=t&page=2, PGPASSWORD=p")
    'https://host:8080/a?token=***&page=2, PGPASSWORD=***'
    """
    if "://" in text:
        within = _ALONE if re.match(_SCHEME, text) else _IN_TEXT
        text = _USERS[within].sub(rf"\1{STRUCK}@", text)
        text = _DATABASE.sub(r"\1", _TOKEN.sub(rf"\1{STRUCK}@", text))
    text = _HEADER.sub(rf"\1{STRUCK}", text)
    return _PARAMETER.sub(rf"\1{STRUCK}", text) if "=" in text else text


def printable(text: str) -> str:
    """A text for a terminal: what would steer it is shown as an escape and not sent; line ends and tabs stay.

    >>> print(printable("c\\x1b[31m\\u202e7\\r"))
    c\\x1b[31m\\u202e7\\x0d
    """
    if text.isprintable():
        return text
    return text.translate({code: name for code, name in _NAMED.items() if chr(code) not in "\n\t"})


def visible_text(text: str) -> str:
    """Return a text without what hides or moves its neighbours: control characters, line ends, marks of direction.

    >>> visible_text("c\\x1b[31m\\n\\u202e7")
    'c [31m 7'
    """
    return text.translate(_HIDDEN)


def plain_text(text: str, null: str = "") -> str:
    """Return a text that no spreadsheet computes and no CRM takes for null.

    >>> plain_text("=1+1"), plain_text("\\t@x"), plain_text("a\\nb"), plain_text("#N/A", "#N/A")
    ("'=1+1", "' @x", 'a b', "'#N/A")
    >>> print(plain_text("a;=1+1"))
    a;'=1+1
    """
    shown = _SECOND.sub(r"\1'", visible_text(text))
    return f"'{shown}" if _FORMULA.match(text) or _FORMULA.match(shown) or (null and shown == null) else shown


def is_computed(text: str) -> bool:
    """Whether a spreadsheet would compute a text that stands in a cell."""
    return _FORMULA.match(text) is not None or _SECOND.search(text) is not None


def decimal_text(number: float, decimals: int = 6) -> str:
    """Up to so many decimals, never in scientific notation, without trailing zeros and without minus zero.

    >>> decimal_text(1234567.891), decimal_text(-1e-9), decimal_text(12.5, 0)
    ('1234567.891', '0', '12')
    """
    text = f"{number:.{decimals}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def csv_line(cells: Iterable[str]) -> str:
    """One line of a CSV file, every cell quoted: else another separator than ours would cut a text into cells.

    >>> csv_line(["x;=1+1", "7"])
    '"x;=1+1","7"\\n'
    """
    line = io.StringIO(newline="")
    csv.writer(line, lineterminator="\n", quoting=csv.QUOTE_ALL).writerow(list(cells))
    return line.getvalue()


def markdown(text: str) -> str:
    """A text that stands in Markdown as it is: no table, link, heading or tag comes of it.

    >>> print(markdown("a|b <img>\\n# [x](y)"))
    a\\|b \\<img\\> # \\[x\\](y)
    """
    return _MARKDOWN.sub(r"\\\g<0>", visible_text(text))


def shape(value: Any) -> str:
    """What a value looks like, without saying it: letters as `a`, digits as `9`, and its length.

    >>> shape("Ana Ionescu, 0721")
    '17 characters like aaa aaaaaaa, 9999'
    """
    text = visible_text(str(value))
    return f"{len(text)} characters like {_like(text)}"


def _like(text: str) -> str:
    like = "".join("9" if sign.isdigit() else "a" if sign.isalpha() else sign for sign in text[:_LONGEST_SHAPE])
    return like + ("…" if len(text) > _LONGEST_SHAPE else "")


def without_values(text: str) -> str:
    """What an engine says of a value that it cannot read: the shape of all that it quotes, and none of its numbers.

    >>> without_values("Could not convert string 'O'Brien' to DECIMAL(3,1), nor 42")
    "Could not convert string 'a'aaaaa' to DECIMAL(3,1), nor …"
    """
    parts, end = [], 0
    for quoted in _QUOTED.finditer(text):
        parts += [_NUMBER.sub("…", text[end : quoted.start()]), f"{quoted[0][0]}{_like(quoted[0][1:-1])}{quoted[0][0]}"]
        end = quoted.end()
    return "".join([*parts, _NUMBER.sub("…", text[end:])])


def aligned(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return rows as lines of columns that stand under one another, titles first; a cell may hold several lines.

    >>> aligned([{"a": "x", "n": 1.5}, {"a": "two\\nlines", "n": None}])
    ['a        n', 'x      1.5', 'two', 'lines']
    """
    if not rows:
        return []
    names = list(rows[0])
    right = [is_number_column(rows, name) for name in names]
    shown = [[printable(name)] for name in names]
    cells = [shown, *([cell_text(row[name]).split("\n") for name in names] for row in rows)]
    widths = [max(len(part) for row in cells for part in row[place]) for place in range(len(names))]
    return [
        "  ".join(
            part.rjust(width) if is_right else part.ljust(width)
            for part, width, is_right in zip(parts, widths, right, strict=True)
        ).rstrip()
        for row in cells
        for parts in itertools.zip_longest(*row, fillvalue="")
    ]


def markdown_table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return rows as the lines of a table in Markdown, titles first.

    >>> markdown_table([{"a": 1, "b": None}])
    ['| a | b |', '| --- | --- |', '| 1 |  |']
    """
    if not rows:
        return []
    titles = list(rows[0])
    body = ["| " + " | ".join(markdown(value_text(value)) for value in row.values()) + " |" for row in rows]
    return ["| " + " | ".join(map(markdown, titles)) + " |", "|" + " --- |" * len(titles), *body]


def is_number_column(rows: Sequence[Mapping[str, Any]], name: str) -> bool:
    """Whether a column of a table holds numbers, or nothing, in every row."""
    return all(isinstance(row[name], int | float | None) and not isinstance(row[name], bool) for row in rows)


def cell_text(value: Any) -> str:
    """A value as text for people: six significant digits, lists joined, nothing for null; printable."""
    return printable(redacted(value_text(value)))


def value_text(value: Any) -> str:
    """A value as text: six significant digits, lists joined, nothing for null."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
