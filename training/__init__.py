"""Training: fit, judge and gate models.

`run` goes the whole way: `cutoffs` lays instants and origins, `dataset` builds the panel, `recipes` are what is fitted,
`origins` rolls them, `calibrate` makes probabilities honest, `choice` says what serves, `served` fits it, `evaluate`
compares (a model is then `trained`), also over `slices`, `gate` decides, `incumbent` is whom it meets, `registration`
promotes or refuses, `report` tells, and `tracked` keeps. `hazard` learns how soon. `flat` trains on one row per
customer without a history, `value` lifetime value, `effects` what an ask adds. `simulated` says how much of what can be
known a model knows.
"""
