"""A week's scores in bulk over HTTP, whole or what has changed, for whoever loads a warehouse."""
