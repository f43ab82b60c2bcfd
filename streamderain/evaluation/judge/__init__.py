"""The judge: which weights are better, on rain and on dry material that no network learns from."""
