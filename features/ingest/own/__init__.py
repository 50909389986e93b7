"""A company's own columns and tables: what they hold, which are taken, and the lines of features made of them.

`tables.own_tables` is the face: it is asked once a run, after the tables of the contract are found, and before a row is
read. Tables that nobody declared are `proposed`, `joined` to a customer where one is a step or two away; `kinds` says
what a column holds, `later` and `outcome` what came afterwards and would tell it, `chosen` what is taken and why not,
`derive` which features are made of it; `own_features` remembers them for who reads no tables.
"""
