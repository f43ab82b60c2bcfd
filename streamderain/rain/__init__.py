"""Rain as pictures show it, and what is taken for rain: drawn, never filmed. Knows no network and no file."""
