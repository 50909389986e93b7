"""Everything that people and machines call."""
