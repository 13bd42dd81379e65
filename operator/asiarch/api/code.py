"""The candidate's file as text: its digest, its fingerprint and what it may contain."""
