"""Rain, samples and the loop that makes weights."""
