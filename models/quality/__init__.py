"""How good probabilities are (`figures`), whether inputs moved (`drift`), and what came true (`monitoring`)."""
