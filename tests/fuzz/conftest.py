"""Hostile input: the same examples each time, unless FUZZ_EXAMPLES asks for more, which are new ones then."""

import os

from hypothesis import HealthCheck, settings

wanted = int(os.environ.get("FUZZ_EXAMPLES", "0"))
settings.register_profile(
    "fuzz",
    max_examples=wanted or 100,
    derandomize=not wanted,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
