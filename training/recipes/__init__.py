"""Recipes: what is fitted, each giving a scorer of the kind that a bundle holds.

`learners` are ours and the rules beside them, `tuning` searches their settings, `averaging` joins trees into one model.
`own` takes what a data scientist declares, `foreign_trees` writes other libraries' trees as ours.
"""
