"""The service: the store that it answers from, who may, the routes with their requests and answers, and its state."""
