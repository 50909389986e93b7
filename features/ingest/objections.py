"""Objections that the service has recorded, applied to the column `is_opted_out` of the company's own customers.

Column and record are one source: from the moment at which an objection was recorded each version of that customer
carries it, until it is withdrawn, whatever else the company says of the customer meanwhile. A week of the past sees no
more than was known then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vouch.features.contract.casts import quoted
from vouch.features.ingest.files import ROW

if TYPE_CHECKING:
    from vouch.features.ingest.staging_context import StagingContext

EVENTS, COPIES = "objection_events", "objection_copies"


def apply_objections(staging: StagingContext, parsed: str, recorded: str) -> None:
    """Put objections into the relation of parsed customers.

    Args:
        staging: where both are.
        parsed: relation of judged rows, as `check_sql` gives them.
        recorded: what stands behind FROM: `customer_id`, `is_opted_out`, `ingested_at`, one row per change of mind.
    """
    events = (
        f"SELECT customer_id, is_opted_out AS objects, epoch_us(ingested_at) AS at_us, {quoted(ROW)} AS number "
        f"FROM {recorded}"
    )
    staging.rows(f"CREATE OR REPLACE TEMP TABLE {EVENTS} AS {events}")
    copies = (
        "SELECT p.* REPLACE (e.at_us AS ingested_us, e.objects OR coalesce(p.is_opted_out, false) AS is_opted_out, "
        f"-1 - e.number AS row) FROM {EVENTS} e ASOF JOIN (SELECT * FROM {parsed} WHERE NOT is_refused) p "
        "ON e.customer_id = p.customer_id AND e.at_us > p.ingested_us"
    )
    staging.rows(f"CREATE OR REPLACE TEMP TABLE {COPIES} AS {copies}")
    later = (
        f"SELECT p.row FROM {parsed} p ASOF JOIN {EVENTS} e "
        "ON p.customer_id = e.customer_id AND p.ingested_us >= e.at_us WHERE e.objects"
    )
    staging.rows(f"UPDATE {parsed} SET is_opted_out = true WHERE row IN ({later})")
    staging.rows(f"INSERT INTO {parsed} BY NAME SELECT * FROM {COPIES}")
    for name in (EVENTS, COPIES):
        staging.rows(f"DROP TABLE {name}")
