"""Autonomous discovery of neural-network architectures: the operator, its laptop twin and the agents."""
