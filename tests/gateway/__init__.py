"""The gateway over real HTTP: orders end to end, attacks, and what it says of itself."""
