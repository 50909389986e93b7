"""The contract: what a company hands over (`tables`, `described`), how it is read (`casts`) and judged (`checks`)."""
