"""A company's own columns and tables: what they hold, which are taken, and the lines of features made of them.

`own_tables` is the face: it is asked once a run, after the tables of the contract are found, and before a row is read.
"""
