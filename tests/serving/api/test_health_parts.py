"""Parts of a health score: those that the rules give, adding up to it, and the band says why it is so."""

from __future__ import annotations

import narwhals as nw
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vouch.features.health import UNKNOWN, health_rules, with_health
from vouch.serving.api.handlers.health_parts import health_of

NAMES = [measure.feature for measure in health_rules().measures]
VALUES = st.fixed_dictionaries(
    {name: st.one_of(st.none(), st.sampled_from([-1.0, 0.0, 0.5, 1.0, 3.0, 9.0, 20.0])) for name in NAMES}
)


@given(VALUES)
def test_the_parts_add_up_to_the_score_and_its_bounds(values):
    row = pl.DataFrame([values], schema=dict.fromkeys(NAMES, pl.Float64))
    (wanted,) = with_health(nw.from_native(row.lazy())).collect("polars").to_native().to_dicts()
    found = health_of(values)
    assert found["lowest"] == pytest.approx(wanted["health_low"])
    assert found["highest"] == pytest.approx(wanted["health_high"])
    assert found["coverage"] == pytest.approx(wanted["health_coverage"])
    known = [part for part in found["parts"] if part["points"] is not None]
    if known:
        weight = sum(part["weight"] for part in known)
        score = sum(part["weight"] * part["points"] for part in known) / weight
        assert score == pytest.approx(wanted["health_score"])
    if wanted["health_band"] == UNKNOWN:
        assert UNKNOWN in found["explanation"]
    elif found["explanation"] is not None:
        assert f"The band is {wanted['health_band']} and not" in found["explanation"]
