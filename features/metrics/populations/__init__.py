"""Populations: frames of customers, advocates and answers that many metrics count over."""
