"""Metrics beside each other: over time, between segments, between readings."""
