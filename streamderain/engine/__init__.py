"""The middle of every run, decoded frames in and derained frames out; knows no codec and no network by name."""
