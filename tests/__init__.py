"""Tests read as sentences, one fact each."""
