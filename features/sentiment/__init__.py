"""Sentiment of texts: polarity and language (`polarity`), by the words of a small fixed lexicon (`lexicon`)."""
