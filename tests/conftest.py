"""Settings of the property-based tests: the same examples on every machine, and no deadline on a busy one."""

from hypothesis import settings

settings.register_profile("book", deadline=None, derandomize=True, max_examples=40)
settings.load_profile("book")
