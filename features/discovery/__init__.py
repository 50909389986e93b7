"""Discovery: what a stranger's files hold, and a mapping to the contract that is proposed from it.

Order of reading: `files` (what lies there and how it is read), `columns` (what each column holds), `links` (which
column is the customer, and what joins), `cells`, `made` and `matching` (which table of the contract a file is),
`customers`, `propose` (all of it, into a `proposal`), `left_out` (and why), `further` (columns and tables that the
contract has no place for), `written` (the project file), `look` (from where the files lie to the tables as they are
read); `without_history` tells what can be done with files that no table comes of, and `flat` reads those.
"""
