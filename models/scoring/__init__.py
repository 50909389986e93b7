"""Scoring: from an encoded vector to log-odds with exact reasons, and on to a calibrated probability.

`bundle` is what a model is on disk: text and numbers with a hash of each file, whose forms `documents`, `model_text`
and `flat_table` judge. `feature_matrix` takes the vectors of a request. `trees` (with `decisions` and `leaf_tables`),
`formulas` and their `mean` score and explain, `scorers` makes them of files, `calibration` maps, `hazard` says how
soon, `effects` what an ask or an offer adds, `reasons` add parts up by family, `shapley_change` splits what moved a
score.
"""
