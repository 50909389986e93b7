"""Monitoring of weeks: guards before one is published; drift, outcomes and alerts after."""
