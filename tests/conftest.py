"""What holds for all tests: machines are noisy, so no example of hypothesis fails for taking its time."""

from hypothesis import settings

settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
