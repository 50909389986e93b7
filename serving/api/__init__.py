"""The service: the store that it answers from, who may, the routes with their requests and answers, and its state.

A request passes `front` (and `limits`), `access` and `application`, which finds its route (`doors`, `routes`), reads it
by `schemas`, and asks one of the `handlers`; these answer from `state`, of the `week` that is served or of
`past_weeks`, in words by `speaking`. `bulk` serves whole weeks as files. What goes wrong is one of `problems`.
`document` describes all of it, of `answer_types`; `telemetry`, `logs` and `watch` tell how it fares.
"""
