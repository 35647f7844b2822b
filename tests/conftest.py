from hypothesis import settings

# `make fuzz`
settings.register_profile("fuzz", max_examples=5_000, deadline=None)
