"""Many live streams in one process that share one network, behind one port."""
