"""What users write and what pods exchange: data types, names and their validation, free of I/O.

Nothing here reads a file, a clock, the environment or a source of chance.
"""
