"""Texts of staged tables: how they sound by what was learned of rated ones (`learned_tone`)."""
