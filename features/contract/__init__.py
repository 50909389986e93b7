"""The contract: what a company hands over, as data, and how a value is read and judged."""
