"""The page under /app: what people see of what the service answers, rendered on the server.

`routes` turns a request into a page, after `session` has let it in; a module per page (`this_week`, `lists`,
`customer`, `metrics` ...) asks the handlers of the API, and takes what was typed from `queries`. `render` fills
templates, in the words of `serving/presentation`, with the charts of `features/charts`.
"""
