"""Limits that hold with a key and without: connections, bodies in memory, heavy work at a time."""
