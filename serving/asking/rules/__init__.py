"""The rules of asking, as data and pure functions: policy, caps, quotas."""
