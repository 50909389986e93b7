"""Pages of documentation, made from the definitions."""
