"""Files in and out; the only room that imports PyAV."""
