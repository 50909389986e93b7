"""The simulated company: canonical tables as a company would hand them over, with the true probabilities beside.

Customers have a latent satisfaction, engagement and affinity that drift from week to week and are shocked by outages, a
price rise, launches and bad support. Churn and organic advocacy happen with stated hazards of these
(`vouch.features.simulation.causes`); all that the tables hold is a noisy image of the same state. Nothing reads the
clock: the data always end at Monday 2026-11-16 00:00 UTC.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pyarrow as pa

from vouch.features.errors import UsageError
from vouch.features.simulation.frames import (
    Files,
    contract_schemas,
)
from vouch.features.simulation.later import LATER, write_later
from vouch.features.simulation.parameters import PARAMETERS, VERSION
from vouch.features.simulation.weeks import Company

if TYPE_CHECKING:
    from pathlib import Path

    from vouch.features.simulation.parameters import Parameters

__all__ = ["PARAMETERS", "VERSION", "simulate"]

TRUTH = {
    "weekly": pa.schema({
        "customer_id": pa.string(), "as_of_us": pa.int64(), "is_running": pa.bool_(), "churn_28d": pa.float64(),
        "advocacy_90d": pa.float64(), "satisfaction": pa.float32(), "engagement": pa.float32(),
        "affinity": pa.float32(),
    }),
    "asks": pa.schema({
        "ask_id": pa.string(), "customer_id": pa.string(), "act_if_asked": pa.float64(),
        "act_if_not_asked": pa.float64(),
    }),
    **LATER,
}  # fmt: skip
"""What stands in `out/truth`, for evaluation only: see `vouch.features.simulation.truth` and `later`."""


def simulate(out: Path, customers: int = 20_000, weeks: int = 78, seed: int = 0, law: Parameters = PARAMETERS) -> Path:
    """Write the canonical tables of a simulated company into `out`, and its truth into `out/truth`.

    Args:
        out: a folder; made if it is not there. Files of an earlier run in it are replaced.
        customers: how many customers there are by the last instant.
        weeks: how far the events reach back from the last instant.
        seed: the same seed, size, law and version give the same bytes.
        law: the constants; see `vouch.features.simulation.worlds` for others.

    Returns:
        The folder.

    Raises:
        UsageError: for a size that makes no company.
    """
    if customers < 50 or weeks < 8:
        raise UsageError(f"A company of {customers} customers by {weeks} weeks is too small: at least 50 by 8")
    (out / "truth").mkdir(parents=True, exist_ok=True)
    with Files(out, contract_schemas()) as files, Files(out / "truth", TRUTH) as truths:
        company = Company(files, truths, customers, weeks, seed, law)
        company.run()
        write_later(company, seed)
    parameters = {"customers": customers, "weeks": weeks, "seed": seed, **law.as_json()}
    (out / "truth" / "parameters.json").write_text(json.dumps(parameters, indent=1, sort_keys=True) + "\n")
    return out
