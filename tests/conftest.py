"""What holds for all tests."""

from hypothesis import settings

# How long an example takes is measured in benchmarks: a machine with other work must not fail a test.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
