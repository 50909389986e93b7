"""What is known of a customer at an instant: the contract, point-in-time views, features, metrics."""
