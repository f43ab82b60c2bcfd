"""Measures, and what they say of a network on pairs of rainy and clean pictures."""
