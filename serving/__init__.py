"""Serving: the command line, the service, the page, the files; everything that people and machines call.

From the ground up, as `tests/promises/test_layers.py` holds:

- `output`: how commands show things; `html_templates`: how pages escape them; `snapshots`: the
  published week as an artefact; `docs`: pages of documentation
- `scoring`, `monitoring`, `metric_queries`, `batch`: how a week is made
- `asking/rules`, `store`, `asking`: whom to ask, what was asked, and the store that knows
- `reports`, `exports`, `lifecycle`: a week for people and other systems; how long things stay
- `api`, `web`, `service`: what answers over HTTP; `deployment`: examples for whoever runs it
- `commands`, `cli`: one door per command; `python`: what `import vouch` offers
"""
