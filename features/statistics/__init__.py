"""Statistics: estimates and their uncertainty; arrays in, arrays out, no tables."""
