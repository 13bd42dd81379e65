"""Tests of the agents: what the grammar writes, and what researcher, engineer and analyst make of it."""
