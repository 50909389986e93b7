"""The weekly batch: scores, metrics and what changed, guarded, and published as one snapshot, atomically.

`run` plans and publishes each week (`outcome`, `summary`, `run_records` tell it), `steps` makes its tables one by one:
vectors to scores and `lifetime_values`, `profiles`, `histories`, `tiers`, `named_lists`; `tables` gives them their
form. Who stands `between_terms` and who objects (`objectors`) is marked on the way.
"""
