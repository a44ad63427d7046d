"""Settings for every test session started in this folder: Hypothesis never flakes on a slow or shared machine."""

import os

from hypothesis import HealthCheck, settings

# No deadline: wall time is not what these tests judge. No database: an old failure kept on one machine would make
# the same commit pass here and fail there; a witness file is how this project keeps a failure. In CI the examples are
# the same in every run, so that a red run says something about the commit; elsewhere each run tries new ones.
settings.register_profile(
    "house",
    deadline=None,
    database=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("house")
