"""Comparisons of metrics: between two instants, week by week, between segments, between readings."""
