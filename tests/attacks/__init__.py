"""Samples of attacks: each runs for real, and each succeeds where its layer is missing."""
