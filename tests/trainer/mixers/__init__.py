"""Candidates' files for tests: whole ones that train, and many small ones, honest and not."""
