"""Training runs as the tracking server keeps them."""
