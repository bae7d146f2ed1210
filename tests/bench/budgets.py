"""What each page, job and chain may cost, exactly: queries, commits, and calls to Stripe, Keycloak and Mailgun.

test_budgets.py measures them. A change that costs more, or less, changes its line here; the failing test prints the new one.
"""

BUDGETS: dict[str, tuple[int, int, int, int, int]] = {
    "webhook: one new event": (1, 1, 0, 0, 0),
    "webhook: an event again": (1, 1, 0, 0, 0),
    "jobs of a signup": (100, 40, 6, 9, 0),
    "its welcome email": (20, 18, 0, 0, 2),
    "jobs of a renewal": (51, 22, 5, 4, 0),
    "job reconcile, no change": (22, 9, 0, 2, 0),
    "job mirror_customer, no change": (42, 20, 5, 2, 0),
    "page /onboarding/": (4, 4, 0, 0, 0),
    "page /recovery/": (0, 0, 0, 0, 0),
    "page /health/live": (0, 0, 0, 0, 0),
    "page /dashboard/": (3, 3, 0, 0, 0),
    "console: first page": (9, 9, 0, 0, 0),
    "console: subscribers": (5, 5, 0, 0, 0),
    "console: jobs": (4, 4, 0, 0, 0),
    "console: events": (4, 4, 0, 0, 0),
    "console: timeline": (5, 5, 0, 0, 0),
    "console: seats": (4, 4, 0, 0, 0),
    "console: instances": (4, 4, 0, 0, 0),
    "console: emails": (5, 5, 0, 0, 0),
    "console: signups": (4, 4, 0, 0, 0),
    "console: one subscriber": (16, 16, 0, 0, 0),
}
