"""Benchmarks: each prints what it measured, on what machine, and writes it to docs/benchmarks/."""
