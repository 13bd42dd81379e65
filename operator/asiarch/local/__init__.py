"""How it happens on a laptop: a world over a directory and child processes."""
