"""Invariants I1–I9, each a function from evidence to sentences that name what broke; nothing of asiarch is imported."""
