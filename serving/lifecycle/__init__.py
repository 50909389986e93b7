"""The data lifecycle under the home: retention, and the erasure of customers."""
