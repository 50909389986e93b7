"""Models: what is predicted, from what, and which version is the champion.

One file per model (`churn`, `advocacy`, ...), each with its label; every file that holds a `MODEL` is found by itself.
`definition` is what such a file needs, with `targets` (what comes true, when, for whom), `eligibility` (who is scored)
and `outcomes` (what came true: the one reader of the future). `predictor` is a model ready to score, of the parts in
`scoring`; `quality` says how good it is, `registry` which version reigns, `unmet` which categories a model has not met.
`value` is lifetime value, which has no label and its own bundle. Training and serving meet here, and nowhere else.
"""

from __future__ import annotations

from vouch.models.definition import check_named, load, names

__all__ = ["check_named", "load", "names"]
