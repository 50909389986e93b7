"""How a text sounds (`polarity`), by the words of a small fixed lexicon (`lexicon`)."""
