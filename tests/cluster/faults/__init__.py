"""A fault proxy between an operator and its API server: it counts, delays, drops, repeats and rewrites."""
