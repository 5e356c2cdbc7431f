"""How properties are tried: on a machine that others use too, so without a deadline for one example, and 50 of them."""

from hypothesis import settings

settings.register_profile("unit", deadline=None, max_examples=50)
settings.load_profile("unit")
