"""Messages to people and systems: signed webhooks, Slack or Teams, e-mail; each once and only once."""
