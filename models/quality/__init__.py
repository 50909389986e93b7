"""Model quality: how good probabilities are, were, and can be.

`figures` of probabilities (`weighted_figures` for the bootstrap, `card_statistics` for the card) and of `uplift`;
`readiness` says what a company's tables support. Of published weeks: input `drift`, what came true (`monitoring`), and
`watch` at every look; `health_audit` asks whether the health rules tell who leaves.
"""
