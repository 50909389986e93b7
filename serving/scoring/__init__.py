"""Vectors in, columns of scores out: the same for the weekly batch, the API and the workers of a cluster."""
