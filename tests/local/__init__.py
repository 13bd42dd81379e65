"""The laptop: files, child processes, and the world over them."""
