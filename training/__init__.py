"""Training: fit, judge and gate models.

`run` goes the whole way: `dataset` lays cutoffs and builds the panel, `learners` fit (`tuning` searches, `averaging`
joins trees), `calibrate` makes probabilities honest, `evaluate` compares over `origins` and `slices`, `gate` decides,
`report` tells. `hazard` learns how soon. `simulated_truth` and `upper_bound` say how much of what can be known a model
knows.
"""
