"""How a text sounds: polarity and language."""
