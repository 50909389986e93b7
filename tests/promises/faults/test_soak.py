"""Hostile clients beside honest ones, for long: no wrong answer, no 5xx but 503, and memory within what is stated."""

from __future__ import annotations

import json
import os
import re

import numpy as np
import pytest

from support.load.soak import halved, soak

MINUTES = float(os.environ.get("VOUCH_SOAK_MINUTES", "30"))
MEMORY_MIB = 1_200


@pytest.mark.nightly
def test_honest_clients_are_answered_beside_hostile_ones_and_memory_stays_within_what_is_stated(tmp_path):
    found = soak(tmp_path, MINUTES * 60)
    print(f"\n{MINUTES:g} minutes: {found.told()}")
    codes = {int(match) for name in found.hostile for match in re.findall(r" ([1-5]\d\d)$", name)}
    assert {code for code in codes if code >= 500} <= {503}
    ways = ("slow heads", "half-open", "large headers 431", "raw rows 503", "large bodies 200", "empty searches")
    for way in ways:
        assert any(name.startswith(way) for name in found.hostile), way
    assert "Traceback" not in found.log
    faults = [line for line in found.log.splitlines() if '"error"' in line or '"critical"' in line]
    assert not faults, json.loads(faults[0])
    early, late = (float(np.median(of)) for of in halved(found.memory_beside))
    assert late <= 1.1 * early, "what was asked for long ago is not held"
    assert max(found.memory_beside) < MEMORY_MIB
