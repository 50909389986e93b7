"""The weekly batch: scores, metrics and what changed, guarded, and published as one snapshot, atomically."""
