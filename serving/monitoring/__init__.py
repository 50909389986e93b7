"""What watches a week: guards before it is published, drift and outcomes after."""
