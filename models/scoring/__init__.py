"""Scoring: from an encoded vector to log-odds with exact reasons, and on to a calibrated probability.

`bundle` is what a model is on disk: text and numbers with a hash of each file. `trees` (with `decisions` and
`leaf_tables`), `formulas` and their `mean` score and explain, `scorers` makes them of files, `calibration` maps,
`hazard` says how soon, `reasons` add parts up by family, `shapley_change` splits what moved a score.
"""
