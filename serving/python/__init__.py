"""`import vouch`: the library, as a notebook uses it; the rooms behind it are `vouch.features`, `vouch.models`, ..."""
