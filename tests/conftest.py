import os

from hypothesis import settings

# The data are tiny and the tests run side by side: more threads would cost more than they save.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# The same examples each time, none refused because a machine is slow, nothing left in the checkout.
settings.register_profile("project", derandomize=True, deadline=None, database=None)
settings.load_profile("project")
