"""Estimates and their uncertainty: arrays in, arrays out, no tables."""
