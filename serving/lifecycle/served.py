"""Customers in the serving store, and in the files that services map into memory, which are copies of it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import delete, select, update

from vouch.serving.lifecycle.subject import Held
from vouch.serving.store import mapped
from vouch.serving.store.audit import COMMAND_LINE, noted
from vouch.serving.store.connection import FILE, FOLDER, Database
from vouch.serving.store.tables import NAMES_A_CUSTOMER, ROWS_OF_A_CUSTOMER
from vouch.serving.store.weeks import rows_of_customer, without_customer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vouch.serving.lifecycle.subject import Subject

HOW = "rows deleted, and the space that they took written over"
COPIES = ("*.arrow", "*.building")


@contextmanager
def _opened(subject: Subject) -> Iterator[Database | None]:
    """The store, None where there is none yet."""
    if subject.project.store is None and not (subject.home / FOLDER / FILE).exists():
        yield None
        return
    database = Database(subject.home, subject.project.store)
    try:
        yield database
    finally:
        database.close()


def read_served(subject: Subject, _: str) -> Iterator[Held]:
    """Give the rows of all tables of the store that name customers, those of published weeks among them."""
    with _opened(subject) as database:
        if database is None:
            return
        with database.reading() as connection:
            for customer in sorted(subject.customer_ids):
                for week in rows_of_customer(connection, customer):
                    yield Held(customer, database.shown, week, HOW)
                for table in (*ROWS_OF_A_CUSTOMER, *NAMES_A_CUSTOMER):
                    for row in connection.execute(select(table).where(table.c.customer_id == customer)):
                        yield Held(customer, database.shown, {"table": table.name, **row._mapping}, HOW)


def erase_served(subject: Subject, _: str) -> None:
    """Take customers out of the store and out of what services map; its audit log tells how many they were."""
    database = Database(subject.home, subject.project.store)
    ids = sorted(subject.customer_ids)
    with database.writing("snapshots") as connection:
        for customer in ids:
            without_customer(connection, customer)
    with database.writing("asks") as connection:
        for table in ROWS_OF_A_CUSTOMER:
            connection.execute(delete(table).where(table.c.customer_id.in_(ids)))
        for table in NAMES_A_CUSTOMER:
            connection.execute(update(table).where(table.c.customer_id.in_(ids)).values(customer_id=None))
        noted(connection, subject.now_us, COMMAND_LINE, "erased", route="vouch erase", rows=len(ids))
    database.compact()
    database.close()
    for pattern in COPIES:
        for path in (subject.home / mapped.FOLDER).glob(pattern):
            path.unlink()
