"""The rules of asking, as data (`policy`) and as pure functions (`caps`, `quotas`, `reference_match`)."""
