"""The simulator of a company with known truth; `vouch.features.simulation.company` is the door.

causes says how satisfaction, engagement and affinity move and what churn and advocacy hazards follow from them;
truth integrates those hazards forward; the other modules turn the same state into what a company would have recorded.
"""
