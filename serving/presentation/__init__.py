"""Presentation: words and names in three languages and the style sheet, shared by page and report."""
