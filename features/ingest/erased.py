"""The list of erased customers, as keyed hashes: left out whenever tables are read, so that none comes back.

The hash is HMAC-SHA-256 under a key of this home. Who has the list alone cannot try names; who has both can only ask
whether a name that is known already was erased, which is what reading needs.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vouch.features.contract.casts import literal, quoted
from vouch.features.durable import replacing
from vouch.features.engines import OWN, as_staged, id_form
from vouch.features.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from vouch.features.contract.tables import Table
    from vouch.features.engines import Connection

FOLDER, KEY, LIST = "erasure", "key", "tombstones.json"
PEOPLE = (
    "customer_id", "advocate_id", "prospect_id", "referred_by", "author", "user_id", "visitor_id", "account_id",
)  # fmt: skip
"""Columns that may name a customer. Other ids are of orders, products, asks: a number among them is nobody."""
_BLOCK = 64


@dataclass(frozen=True)
class Tombstones:
    """The key of a home, and the hashes of those who were erased."""

    key: bytes
    hashes: frozenset[str] = frozenset()

    def hash_of(self, customer_id: str) -> str:
        """The keyed hash of a customer, by the id as it stands in contract form."""
        return hmac.new(self.key, as_staged(customer_id).encode(), hashlib.sha256).hexdigest()

    def __contains__(self, customer_id: str) -> bool:
        return self.hash_of(customer_id) in self.hashes

    @property
    def digest(self) -> str:
        """Moves when somebody is erased."""
        return hashlib.sha256("\n".join(sorted(self.hashes)).encode()).hexdigest()


def load(home: Path) -> Tombstones | None:
    """Return the tombstones of a home, or None where nobody was erased. Raises ConfigurationError for damaged ones."""
    folder = home / FOLDER
    if not (folder / LIST).exists():
        return None
    try:
        key = bytes.fromhex((folder / KEY).read_text(encoding="ascii").strip())
        hashes = json.loads((folder / LIST).read_text(encoding="utf-8"))["hashes"]
        return Tombstones(key, frozenset(hashes))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"{folder} is damaged: without its key and list, erased customers would come back. Restore it from a copy."
        ) from error


def known(home: Path) -> Tombstones:
    """Return the tombstones of a home, with a key that is drawn where there is none yet."""
    folder = home / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    tombstones = load(home)
    if tombstones is None:
        tombstones = Tombstones(secrets.token_bytes(32))
        write_durably(folder / KEY, tombstones.key.hex() + "\n")
        write_durably(folder / LIST, json.dumps({"hashes": []}) + "\n")
    return tombstones


def add(home: Path, customer_ids: Iterable[str]) -> Tombstones:
    """Keep the hashes of customers for good, from before anything else is erased; return all tombstones."""
    tombstones = known(home)
    tombstones = Tombstones(
        tombstones.key, tombstones.hashes | {tombstones.hash_of(customer) for customer in customer_ids}
    )
    write_durably(home / FOLDER / LIST, json.dumps({"hashes": sorted(tombstones.hashes)}, indent=1) + "\n")
    return tombstones


def write_durably(path: Path, text: str) -> None:
    """Write a file of this folder, whole or not at all."""
    with replacing(path) as draft:
        draft.touch(0o660)  # whoever calls, nobody reads the key but those of the home
        draft.write_text(text, encoding="utf-8")


def columns_of_people(table: Table) -> list[str]:
    """Columns of a table that may name a customer."""
    return [
        column.name
        for column in table.columns.values()
        if column.kind == "text" and column.name in PEOPLE and (column.name != table.key or table.customer == table.key)
    ]


def register_hashes(connection: Connection, tombstones: Tombstones) -> None:
    """Make the hashes known to the engine, and the function that gives the hash of a text."""
    block = tombstones.key.ljust(_BLOCK, b"\0")
    inner, outer = (bytes(byte ^ pad for byte in block) for pad in (0x36, 0x5C))
    connection.execute(f"CREATE TABLE {OWN}.pads AS SELECT ?::BLOB AS inside, ?::BLOB AS outside", [inner, outer])
    connection.execute(f"CREATE TABLE {OWN}.tombstones (hash VARCHAR)")
    connection.executemany(f"INSERT INTO {OWN}.tombstones VALUES (?)", [[one] for one in sorted(tombstones.hashes)])


def leave_out(connection: Connection, table: Table, parsed: str) -> int:
    """Take erased customers out of parsed rows; return how many rows went.

    A row of theirs goes, and so does one that names them where a name must stand, and one that is broken and names
    them in any text; where a name may be missing it is nulled.
    """
    gone = 0
    for name in columns_of_people(table):
        column = quoted(name)
        named = f"{column} IN ({_erased(f'SELECT DISTINCT {column} AS name FROM {parsed}')})"
        if name == table.customer or table.columns[name].is_required:
            gone += _count(connection.execute(f"DELETE FROM {parsed} WHERE {named}").fetchall())
        else:
            connection.execute(f"UPDATE {parsed} SET {column} = NULL WHERE {named}")
    texts = [name for name, column in table.columns.items() if column.kind == "text" and not column.values]
    each = ", ".join(id_form(f"json_extract_string(raw, {literal(f'$.{quoted(name)}')})") for name in texts)
    values = f"SELECT row, unnest([{each}]) AS name FROM {parsed} WHERE raw IS NOT NULL"
    erased_rows = f"SELECT row FROM ({values}) WHERE name IN ({_erased(f'SELECT DISTINCT name FROM ({values})')})"
    return gone + _count(connection.execute(f"DELETE FROM {parsed} WHERE row IN ({erased_rows})").fetchall())


def _erased(names: str) -> str:
    """SQL for those of some names whose hash has a tombstone."""
    digest = "sha256(outside || unhex(sha256(inside || encode(name))))"
    return f"SELECT name FROM ({names}), {OWN}.pads WHERE name IS NOT NULL AND {digest} IN (FROM {OWN}.tombstones)"


def _count(rows: list[tuple[int]]) -> int:
    return rows[0][0] if rows else 0
