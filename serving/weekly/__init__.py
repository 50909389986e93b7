"""The work of a week: who moved since the week before, who renews, which asks wait, how the last run ended."""
