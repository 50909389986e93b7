"""Model quality: figures of probabilities (`figures`), input drift (`drift`), what came true (`monitoring`)."""
