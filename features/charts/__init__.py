"""Charts: the one way in which figures are drawn, for page, report, notebooks and tracking server.

Places are worked out in plain arithmetic (`series`, `bars`, `curves`) and drawn by the templates beside them as SVG:
sharp at any size, readable as text, in the colours of the page by day and night, and drawn in a millisecond, where a
plotting library takes a second to import and a tenth to draw. `picture` makes a file of a chart, with its style inside;
`html_templates` is the one setting of Jinja for all that is HTML.
"""
