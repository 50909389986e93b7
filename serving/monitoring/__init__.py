"""What watches a week: guards before it is published; drift, outcomes and alerts after."""
