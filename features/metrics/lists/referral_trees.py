"""Referral trees: whom an advocate brought, whom those brought in turn, and what each brings, counted once.

A customer hangs under one advocate: the one who has his order (`populations.attribution`), so that no revenue stands in
two trees. What an advocate brought himself is `margin`; what those brought whom he brought is told beside
(`margin_below`), and belongs to them: sums over advocates take `margin` alone.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import narwhals as nw

from vouch.features.metrics.catalogue import Absent
from vouch.features.metrics.context import collected
from vouch.features.metrics.populations.advocacy import acts, valid_referrals
from vouch.features.metrics.populations.attribution import credited, credits
from vouch.features.metrics.populations.customers import margins

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vouch.features.metrics.context import MetricContext

Rows = list[dict[str, Any]]


def referral_trees(context: MetricContext) -> Rows:
    """One row per advocate with a valid referral: invitations, conversions, depth, reach and margin, the best first.

    `customers` came by the advocate himself, `customers_below` by those; `margin` (null where no margins are known) is
    of 365 days from the invitation, undiscounted. `reach` is that of his acts. `brought_by` names nobody who objects to
    being profiled.
    """
    sent = _sums(context.keep(valid_referrals).select(
        customer_id=nw.col("advocate_id"), referrals=nw.lit(1, nw.Int64),
        converted=(~nw.col("ever_converted_us").is_null()).cast(nw.Int64),
    ), "referrals", "converted")  # fmt: skip
    margin, parents = _margins(context), _parents(context)
    children: dict[str, list[str]] = defaultdict(list)
    for child, parent in parents.items():
        children[parent].append(child)
    reach = _sums(context.keep(acts).select("customer_id", reach=nw.col("reach").fill_null(0)), "reach")
    listed = set(context.people["customer_id"].to_pylist())
    rows = []
    for advocate in sorted(sent.keys() & listed):
        below = _below(advocate, children)
        own = [one for one, depth in below.items() if depth == 1]
        further = [one for one, depth in below.items() if depth > 1]
        rows.append({
            "customer_id": advocate, **sent[advocate], "customers": len(own), "customers_below": len(further),
            "depth": max(below.values(), default=0), "reach": reach.get(advocate, {}).get("reach", 0),
            "margin": _total(own, margin), "margin_below": _total(further, margin),
            "brought_by": None if parents.get(advocate) in context.objecting else parents.get(advocate),
        })  # fmt: skip
    return sorted(rows, key=lambda row: (-(row["margin"] or 0.0), -row["converted"], row["customer_id"]))


def _sums(frame: Any, *names: str) -> dict[str, dict[str, int]]:
    counted = frame.group_by("customer_id").agg(*(nw.col(name).sum().cast(nw.Int64) for name in names))
    rows = collected(counted).to_pylist()
    return {row.pop("customer_id"): row for row in rows if row["customer_id"] is not None}


def _parents(context: MetricContext) -> dict[str, str]:
    """The advocate of each referred customer: of several with shares in him, the first who invited."""
    if not context.has("transactions"):
        return {}
    columns = ("customer_id", "advocate_id", "invited_us")
    order = [("invited_us", "descending"), ("advocate_id", "descending")]
    table = collected(context.keep(credits).select(*columns)).sort_by(order)
    return {row["customer_id"]: row["advocate_id"] for row in table.to_pylist() if row["advocate_id"] is not None}


def _margins(context: MetricContext) -> dict[str, float] | None:
    """Margin of each referred customer within the days that are credited; None where margins are not known."""
    rows = (
        margins(context)
        if context.has("transactions")
        else Absent("not_applicable", "no_input: transactions.gross_margin")
    )
    if isinstance(rows, Absent):
        return None
    paid = credited(rows, context).filter(nw.col("is_credited"))
    table = collected(paid.group_by("customer_id").agg(nw.col("margin").sum().cast(nw.Float64)))
    return {row["customer_id"]: row["margin"] / 10_000 for row in table.to_pylist()}


def _below(advocate: str, children: Mapping[str, list[str]]) -> dict[str, int]:
    """Everybody below an advocate, and how many steps; who stands in a circle counts once, the advocate never."""
    sizes: dict[str, int] = {}
    waiting = [(child, 1) for child in children.get(advocate, ())]
    while waiting:
        one, depth = waiting.pop(0)
        if one == advocate or one in sizes:
            continue
        sizes[one] = depth
        waiting += [(child, depth + 1) for child in children.get(one, ())]
    return sizes


def _total(people: list[str], margin: Mapping[str, float] | None) -> float | None:
    return None if margin is None else round(sum(margin.get(one, 0.0) for one in sorted(people)), 2)
