from hypothesis import settings

# No deadline: an example must not fail because a machine is slow. No database: nothing is left in
# the checkout.
settings.register_profile("project", deadline=None, database=None)
settings.load_profile("project")
