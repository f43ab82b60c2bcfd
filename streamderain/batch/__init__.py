"""Many files, one after the other, with one network."""
