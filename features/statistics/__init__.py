"""Estimates and how sure they are: arrays in, arrays out, no tables."""
