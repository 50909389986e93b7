"""The published week as an artefact: its columns (`schema`), its files, how it is read and compared.

Apart from its makers, so that batch, store, reports and exports agree on one thing.
"""
