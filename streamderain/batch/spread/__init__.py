"""An archive over many processes and machines: files are cut into parts, parts derained wherever there is room."""
