"""Customer lifetime value: what a customer is expected to bring in a number of exact days, with an interval.

Two ways, and the company's own data decide which: by contract where subscriptions can end (`contracts`: how long the
subscription is expected to run, of which `renewal_process` makes years, times what it brings), by purchases else
(`repeat_purchases` and `spend`: how often, and how much at a time; `boosted` is the challenger). `histories` reads
tables at an instant, `valuation` puts the parts together, `predictor` is the champion's bundle.
"""
