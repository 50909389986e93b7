"""Lists behind the figures: which customers, which topics, which reasons."""
