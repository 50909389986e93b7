"""The OpenAPI document: what every route takes and gives, each field described, an example of each answer."""
