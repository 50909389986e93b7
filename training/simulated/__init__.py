"""Judging against a simulated company, of which the truth is known: what a model captures of what can be known."""
