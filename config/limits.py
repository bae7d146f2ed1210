"""Limits and retention, from the environment: how much a visitor may use, and how long rows are kept. Settings import them."""

from config.environment import integer

# --- Retention: days after which what has ended is deleted, each night (apps/core/retention.py) -----------------------
RETENTION = dict.fromkeys(("jobs", "attention"), integer("KEEP_JOBS_DAYS", 30, minimum=1)) | {
    **dict.fromkeys(("event_bodies", "unconfirmed_waitlist"), 14),
    "sweep_jobs": 7,  # of everybody's nightly sync, and the slices of sweeps
    "stripe_details": 90,  # of invoices and payments: later only what pages show
    "events": integer("KEEP_EVENTS_DAYS", 90, minimum=35),  # Stripe sends an event again for up to 30 days
    "emails": integer("KEEP_EMAILS_DAYS", 365, minimum=30),
    "unpaid_signups": integer("KEEP_UNPAID_SIGNUPS_DAYS", 30, minimum=1),
    "operations": 180,  # drift that is gone, sync runs, safeguard reviews
    "codes": 1,
    "rate_limits": 2,
}
