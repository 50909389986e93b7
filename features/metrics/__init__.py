"""Rule-based metrics: declared once, counted in the engine, with an interval and a reason each."""
