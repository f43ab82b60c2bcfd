"""A film derained in parts, each by itself: what runs that go on after a crash, and many machines, stand on."""
