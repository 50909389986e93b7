"""One file per chapter of the metric catalogue; every file in this folder is found by itself."""
