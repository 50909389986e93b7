"""A published snapshot as files that other systems take."""
