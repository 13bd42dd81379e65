"""Why things happen: pure functions of an observation and a moment.

No I/O, clock, chance, environment or logging here; equal observations give equal plans.
"""
