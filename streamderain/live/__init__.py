"""A live stream for as long as it lasts: source to outputs, with its promise on latency."""
