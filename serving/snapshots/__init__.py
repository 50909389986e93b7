"""The published week as an artefact: its columns, its files, how it is read and compared."""
