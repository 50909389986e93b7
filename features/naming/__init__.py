"""Naming: what a company's names of files, columns and values mean (`words`)."""
