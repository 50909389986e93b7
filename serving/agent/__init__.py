"""The agent's door (Model Context Protocol): tools made from the routes of the API, called with the caller's key."""
