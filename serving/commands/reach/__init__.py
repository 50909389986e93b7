"""Commands that reach other systems and people: `vouch push`, `vouch pull` and `vouch notify`."""
