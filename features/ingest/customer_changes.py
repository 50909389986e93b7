"""Changes that the service has recorded of customers, applied to the company's own rows: objections, consents, owners.

Column and record are one source: from the moment at which a change was recorded each version of that customer carries
it, until the next one, whatever else the company says of the customer meanwhile; who objects in either objects. A week
of the past sees no more than was known then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vouch.features.contract.casts import quoted
from vouch.features.ingest.files import ROW

if TYPE_CHECKING:
    from collections.abc import Container

    from vouch.features.ingest.staging_context import StagingContext

EVENTS, COPIES = "customer_events", "customer_copies"
STANDING = {
    "is_opted_out": "CASE WHEN e.{0} IS NULL THEN p.{0} ELSE e.{0} OR coalesce(p.{0}, false) END",
    **dict.fromkeys(("contact_consent", "advocacy_consent"), "coalesce(e.{0}, p.{0})"),
    **dict.fromkeys(("owner", "owner_email"), "CASE WHEN e.{0} IS NULL THEN p.{0} ELSE nullif(e.{0}, '') END"),
}
"""What stands in a column, of what was recorded last (`e`; null where nothing was) and of what the company says."""


def apply_changes(staging: StagingContext, parsed: str, recorded: str, columns: Container[str]) -> None:
    """Put recorded changes into the relation of parsed customers.

    Args:
        staging: where both are.
        parsed: relation of judged rows, as `check_sql` gives them.
        recorded: what stands behind FROM: `customer_id`, `ingested_at`, one row per change, null in what it does not
            change; an empty text empties a column.
        columns: columns that it has.
    """
    names = [name for name in STANDING if name in columns]
    stood = ", ".join(f"last_value({name} IGNORE NULLS) OVER told AS {name}" for name in names)
    events = (
        f"SELECT customer_id, epoch_us(ingested_at) AS at_us, {quoted(ROW)} AS number, {stood} FROM {recorded} WINDOW "
        f"told AS (PARTITION BY customer_id ORDER BY ingested_at, {quoted(ROW)} ROWS UNBOUNDED PRECEDING) QUALIFY "
        f"row_number() OVER (PARTITION BY customer_id, ingested_at ORDER BY {quoted(ROW)} DESC) = 1"
    )
    staging.rows(f"CREATE OR REPLACE TEMP TABLE {EVENTS} AS {events}")
    standing = ", ".join(f"{STANDING[name].format(name)} AS {name}" for name in names)
    copies = (
        f"SELECT p.* REPLACE (e.at_us AS ingested_us, {standing}, -1 - e.number AS row) "
        f"FROM {EVENTS} e ASOF JOIN (SELECT * FROM {parsed} WHERE NOT is_refused) p "
        "ON e.customer_id = p.customer_id AND e.at_us > p.ingested_us"
    )
    staging.rows(f"CREATE OR REPLACE TEMP TABLE {COPIES} AS {copies}")
    later = (
        f"SELECT p.row, {standing} FROM {parsed} p ASOF JOIN {EVENTS} e "
        "ON p.customer_id = e.customer_id AND p.ingested_us >= e.at_us"
    )
    changed = ", ".join(f"{name} = later.{name}" for name in names)
    staging.rows(f"UPDATE {parsed} SET {changed} FROM ({later}) later WHERE {parsed}.row = later.row")
    staging.rows(f"INSERT INTO {parsed} BY NAME SELECT * FROM {COPIES}")
    for name in (EVENTS, COPIES):
        staging.rows(f"DROP TABLE {name}")
