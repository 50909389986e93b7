"""One reporting currency: a company whose tables name several is refused with the figures.

A sum over several means nothing.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from vouch.features.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vouch.features.ingest.stage_table import Outcome
    from vouch.features.ingest.staging_context import StagingContext

PAID = ("subscriptions", "transactions")
"""Tables that name the currency of their money."""


def check_currencies(staging: StagingContext, outcomes: Mapping[str, Outcome]) -> None:
    """Raise DataError where the staged tables name more than one currency."""
    rows: Counter[str] = Counter()
    for name in PAID:
        if name in outcomes and "currency" in outcomes[name].columns:
            rows.update(dict(staging.rows(_counts(staging, name, is_folder=bool(outcomes[name].parts)))))
    if len(rows) > 1:
        listed = ", ".join(f"{currency} {count:,} rows" for currency, count in rows.most_common())
        raise DataError(
            f"{' and '.join(PAID)} name {len(rows)} currencies ({listed}), and money is counted in one. Convert it in "
            'vouch.toml: [tables.subscriptions] query = "select *, ... as mrr from ..."'
        )


def _counts(staging: StagingContext, name: str, *, is_folder: bool) -> str:
    path = staging.folder / f"{name}.parquet"
    place = str(path / "*.parquet" if is_folder else path).replace("'", "''")
    return (
        f"SELECT upper(trim(currency)) AS currency, count(*) FROM read_parquet('{place}') "
        "WHERE currency IS NOT NULL GROUP BY 1 ORDER BY 1"
    )
