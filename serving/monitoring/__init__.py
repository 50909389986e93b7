"""Monitoring of weeks: guards before one is published; drift, outcomes and alerts after.

`guards` hold what was `observed` against limits; `drift_and_outcomes` and `alerts` look back, `outcome_watch` at every
look; `tracking` and `lineage` tell MLflow and OpenLineage.
"""
