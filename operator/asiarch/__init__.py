"""Autonomous discovery of neural-network architectures: the operator, its laptop twin and the agents."""

__version__ = "0.1.0"
