"""The weekly batch as a Dagster asset, a partition per week: `dagster dev -m vouch.serving.deployment.dagster_weekly`.

Needs `pip install 'vouch[dagster]'`. It does what `vouch score` does, the store included. A partition is the week
before its snapshot: that of 2026-11-09 gives the snapshot as of 2026-11-16. Back-fills, retries and alarms are
Dagster's.
"""

# Dagster reads annotations when the program runs, so that they cannot be put off.
from typing import Any

try:
    import dagster
except ImportError as error:
    from vouch.features.errors import MissingExtra

    raise MissingExtra("The definition for Dagster needs Dagster: pip install 'vouch[dagster]'") from error

from vouch.features.errors import Locked
from vouch.features.instants import microseconds
from vouch.features.project import load_project
from vouch.serving.api.state import now_us
from vouch.serving.store.recorded import with_recorded
from vouch.serving.weekly_run import run_weekly

WEEKS = dagster.TimeWindowPartitionsDefinition(start="2026-01-05", cron_schedule="0 0 * * 1", fmt="%Y-%m-%d")
BUSY_SECONDS, BUSY_TRIES = 600, 6
"""How long to wait before asking again, where another run is at work, and how often."""


class Company(dagster.ConfigurableResource):  # type: ignore[misc, unused-ignore] # untyped where Dagster is missing
    """Where the company's tables are: a folder, a DuckDB file, a postgresql:// URL or a vouch.toml."""

    data: str


@dagster.asset(  # type: ignore[untyped-decorator, unused-ignore]
    partitions_def=WEEKS, retry_policy=dagster.RetryPolicy(max_retries=2, delay=300)
)
def snapshot(context: dagster.AssetExecutionContext, company: Company) -> dagster.MaterializeResult:
    """Scores, reasons and metrics of every customer as of the end of the week."""
    as_of_us = microseconds(context.partition_time_window.end)
    try:
        project, clock_us = with_recorded(load_project(company.data)), now_us()
        done = run_weekly(project, [as_of_us], clock_us, clock_us, progress=context.log.info)
    except Locked as error:
        raise dagster.RetryRequested(max_retries=BUSY_TRIES, seconds_to_wait=BUSY_SECONDS) from error
    (week,) = done.weeks
    facts: dict[str, Any] = week.as_dict()
    for warning in done.warnings:
        context.log.warning(warning)
    if week.outcome == "refused":
        raise dagster.Failure(
            "Guards refused to publish; the week before stays",
            metadata={"findings": dagster.MetadataValue.json(facts["guards"])},
            allow_retries=False,
        )
    shown = ("outcome", "revision", "customers", "folder")
    return dagster.MaterializeResult(
        metadata={**{name: facts[name] for name in shown}, "summary": dagster.MetadataValue.json(facts)}
    )


job = dagster.define_asset_job("weekly", selection=[snapshot])
definitions = dagster.Definitions(
    assets=[snapshot],
    jobs=[job],
    schedules=[dagster.build_schedule_from_partitioned_job(job, hour_of_day=2, minute_of_hour=15)],
    resources={"company": Company(data=dagster.EnvVar("VOUCH_DATA"))},
)
