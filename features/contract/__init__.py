"""The contract: what a company hands over, as data (`tables`), how a value is read (`casts`) and judged (`checks`)."""
