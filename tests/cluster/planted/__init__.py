"""Bugs that tests plant into an operator as it starts, each by name; the product has no hook for them."""
