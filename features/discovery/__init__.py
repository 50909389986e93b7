"""Discovery: what a stranger's files hold, and a mapping to the contract that is proposed from it.

Order of reading: `files` (what lies there and how it is read), `columns` (what each column holds), `words` (what names
mean), `links` (which column is the customer, and what joins), `cells`, `made` and `matching` (which table of the
contract a file is), `customers`, `propose` (all of it), `left_out` (and why), `written` (the project file).
"""
