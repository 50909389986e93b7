"""From the definitions of features to one row per customer and instant."""
