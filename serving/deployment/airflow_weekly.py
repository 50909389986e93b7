"""The weekly batch as an Airflow 3 DAG: a copy of this file in the folder of DAGs of an Airflow on the same host.

It does what `vouch score` does, the store included, in the environment of vouch: that of Airflow holds other versions
of many libraries. The workers' settings name the command (`VOUCH_BIN`, else `vouch` on the path) and where the tables
of the company are (`VOUCH_DATA`). A run is for the Monday on or before its date. A wrong call (exit 2) and a refusal
(4) are not tried again, for the next try would end alike; a run that finds another at work waits for it.
"""

# Airflow reads annotations when the program runs, so that they cannot be put off.
import subprocess
from datetime import UTC, datetime, timedelta

from airflow.sdk import dag, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException

SCORE = 'exec "${VOUCH_BIN:-vouch}" score "$VOUCH_DATA" --as-of "$1" --wait 3600 --format json'
FOR_GOOD = {2: "the call is wrong", 4: "guards refused; what was published before stays"}
"""Exits that another try would not change."""


def monday(when: datetime) -> str:
    """Return the Monday on or before an instant, as `vouch score` takes it."""
    day = when.astimezone(UTC).date()
    return (day - timedelta(days=day.weekday())).isoformat()


@dag(  # type: ignore[untyped-decorator, unused-ignore]  # Airflow is not in this environment
    schedule="15 2 * * 1",
    start_date=datetime(2026, 1, 5, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
    tags=["vouch"],
)
def vouch_weekly() -> None:
    """Scores, reasons and metrics of every customer as of the end of the week."""

    @task  # type: ignore[untyped-decorator, unused-ignore]  # Airflow is not in this environment
    def score() -> None:
        """Publish the snapshot of the week."""
        context = get_current_context()
        when = context.get("logical_date") or context["dag_run"].run_after
        ended = subprocess.run(["/bin/sh", "-c", SCORE, "vouch", monday(when)], check=False).returncode
        if ended in FOR_GOOD:
            raise AirflowFailException(f"exit {ended}: {FOR_GOOD[ended]}")
        if ended:
            raise RuntimeError(f"vouch ended with exit {ended}; what it said stands above")

    score()


vouch_weekly()
