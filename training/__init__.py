"""Training: fit, judge and gate models.

`run` goes the whole way: `cutoffs` lays instants and origins, `dataset` builds the panel, `learners` are the recipes
(`tuning` searches, `averaging` joins trees), `origins` rolls them, `calibrate` makes probabilities honest, `choice`
says what serves, `served` fits it, `evaluate` compares, also over `slices`, `gate` decides, `report` tells. `hazard`
learns how soon. `simulated` says how much of what can be known a model knows.
"""
