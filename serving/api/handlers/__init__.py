"""Handlers of the routes: a checked request and the state in, plain data or JSON out."""
