"""What makes the answer of each route: a checked request and the state in, plain data or JSON out."""
