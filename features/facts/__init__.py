"""Business concepts, each defined once; families, metrics, labels and serving use these."""
