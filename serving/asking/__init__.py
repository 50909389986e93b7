"""The candidate policy: whom to ask to speak up, for what, in which order, and whom to leave in peace.

`rules` say what is allowed; `ranking` orders who is left and says why others are not (`by_rules` without a champion,
`gains` and `uplift` by what an ask adds), `what_to_ask` for what, `exploration` draws a few by chance. `candidates`
brings it together from a week and the store (`ask_log`, `by_hand`, `waiting`), `candidate_lists` and `ranked_list` hold
it ready; `reference_pool` answers who may speak to a prospect.
"""
