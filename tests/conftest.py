from hypothesis import settings

# The same examples each time, none refused because a machine is slow, nothing left in the checkout.
settings.register_profile("project", derandomize=True, deadline=None, database=None)
settings.load_profile("project")
