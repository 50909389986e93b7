"""The page under /app: what people see of what the service answers, rendered on the server."""
