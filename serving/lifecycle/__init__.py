"""What lies under the home: how long it stays, and how customers leave it for good."""
