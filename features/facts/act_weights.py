"""Weights of acts of speaking up, by kind: `act_weights.toml`, changed by what a company sets."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

import narwhals as nw

from vouch.features.contract.tables import ACT_KINDS
from vouch.features.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Mapping

Weights = tuple[tuple[str, float], ...]
"""Weight of every kind, in the order of the contract."""


@cache
def default_weights() -> Weights:
    """The weights of `act_weights.toml`; raises DefinitionError where a kind is missing or one is not of the contract.

    >>> dict(default_weights())["review"]
    1.0
    """
    raw = tomllib.loads(resources.files("vouch.features.facts").joinpath("act_weights.toml").read_text("utf-8"))
    if set(raw) != set(ACT_KINDS):
        raise DefinitionError(f"act_weights.toml: these kinds do not match the contract: {set(raw) ^ set(ACT_KINDS)}")
    return tuple((kind, float(raw[kind])) for kind in ACT_KINDS)


def act_weights(own: Mapping[str, float]) -> Weights:
    """The default weights, but for those that a company sets."""
    return tuple((kind, float(own.get(kind, weight))) for kind, weight in default_weights())


def weight_of_kind(weights: Weights) -> nw.Expr:
    """Weight of the act in a row, by its `kind`."""
    value: nw.Expr = nw.lit(0.0)
    for kind, weight in weights:
        value = nw.when(nw.col("kind") == kind).then(nw.lit(weight)).otherwise(value)
    return value
