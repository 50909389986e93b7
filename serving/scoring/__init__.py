"""Vectors in, columns of scores out: shared by the weekly batch and the API."""
