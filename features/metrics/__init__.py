"""Rule-based metrics: declared once, counted in the engine, with an interval and a reason each.

`catalogue` is what a definition needs, of `estimators`; `context` is the company at an instant; `units` counts,
`evaluate` makes `envelopes`. `populations` are frames that many metrics share, `definitions` the metrics, one file per
chapter; `comparisons` set metrics beside each other, `lists` tell who is behind a figure, `feeds` what a table is for.
"""
