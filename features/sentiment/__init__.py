"""Sentiment of texts: polarity and language by a small fixed lexicon (`polarity`, `lexicon`), and as `learned`."""
