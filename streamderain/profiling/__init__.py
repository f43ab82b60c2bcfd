"""Which resolution this machine derains how fast, measured end to end on encoded videos."""
