"""One file per family of features; every file in this folder is found by itself."""
