"""Fit, judge and gate models."""
