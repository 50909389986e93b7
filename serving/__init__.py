"""Serving: the command line, the service, the page, the files; everything that people and machines call.

From the ground up, as `tests/promises/test_layers.py` holds:

- `output`: how commands show things; `docs`: pages of documentation; `snapshots`: the published week as an artefact
- `scoring`, `monitoring`, `metric_queries`, `batch`: how a week is made
- `presentation`: words in three languages and the style sheet, of page and report
- `asking/rules`, `store`, `asking`: whom to ask, what was asked, and the store that knows; `weekly_run`: the batch with
  what the store has recorded; `weekly`: the work of a week
- `reports`, `exports`, `reach`, `lifecycle`: a week for people, as files and into other systems; how long things stay
- `api`, `web`: what answers over HTTP; `site`, `service`, `bento`, `worker`: both as one application, and its
  processes; `deployment`: examples for whoever runs it; `agent`: the routes as tools of an agent
- `commands`, `cli`: one door per command; `library`, `python`: what `import vouch` offers
"""
