"""Scoring of vectors into columns of scores: the same for the weekly batch, the API and the workers of a cluster."""
