"""Business concepts, each in one place: families, metrics, labels, eligibility and serving say nothing of their own.

- `customers`, `rows`: who counts (internal customers are in nothing), and which rows of a table do.
- `spans`, `subscriptions`, `stays`: what runs at an instant, and when an end is churn (the gap rule).
- `activity`: who is active, within 90 days.
- `orders`: what is a line of an order, and which lines are one.
- `referrals`, `acts`: which referrals are valid; which acts are organic, prompted, incentivised.
- `tickets`, `surveys`, `sessions`, `voices`: what is open, an answer, a visit, public; `act_weights`: what acts weigh.
- `beginning`, `pauses`, `cadence`, `last_days`: what a company's data say of themselves: since when they are whole,
  how long customers pause, how far deliveries lie apart, and whether ends are last days.

Most are predicates over the columns of a row (narwhals expressions), so that the definition of a feature, a frame of a
metric and a label share them; some take frames that are cut at an instant already. They stand on the point-in-time view
and the contract, and know nothing of features, metrics and models. `tests/features/test_facts.py` holds their bounds.
"""
