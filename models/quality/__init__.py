"""How good probabilities are, whether inputs drift, and what came true."""
