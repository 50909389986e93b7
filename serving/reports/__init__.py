"""The weekly report for people: figures, charts, page and e-mail."""
