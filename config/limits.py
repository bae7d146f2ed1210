"""Limits and retention, from the environment: how much a visitor may use, and how long rows are kept; who makes backups. Settings import them."""

from config.environment import boolean, integer, rates, words

# --- Retention: days after which what has ended is deleted, each night (apps/core/retention.py) -----------------------
RETENTION = (
    dict.fromkeys(("jobs", "attention"), integer("KEEP_JOBS_DAYS", 30, minimum=1))
    | {
        **dict.fromkeys(("event_bodies", "unconfirmed_waitlist"), 14),
        "sweep_jobs": 7,  # of everybody's nightly sync, and the slices of sweeps
        "stripe_details": 90,  # of invoices and payments: later only what pages show
        "events": integer("KEEP_EVENTS_DAYS", 90, minimum=35),  # Stripe sends an event again for up to 30 days
        "emails": integer("KEEP_EMAILS_DAYS", 365, minimum=30),
        "unpaid_signups": integer("KEEP_UNPAID_SIGNUPS_DAYS", 30, minimum=1),
        "abandoned_signups": integer("KEEP_ABANDONED_SIGNUPS_DAYS", 30, minimum=2),
        "left_waitlist": 1,
        "unused_invitations": integer("KEEP_UNUSED_INVITATIONS_DAYS", 30, minimum=1),
        "ended_waitlist": integer("KEEP_WAITLIST_DAYS", 30, minimum=1),
        "email_contents": integer("KEEP_EMAIL_CONTENTS_DAYS", 30, minimum=1),
        "expired_customers": integer("KEEP_EXPIRED_CUSTOMERS_DAYS", 365, minimum=30),
        "comparisons": 90,  # what each comparison with Stripe and Keycloak looked at, found and fixed
        "operations": 180,  # drift that is gone, sync runs, previews, safeguard reviews, approval requests, seat plans, imports
        "law_checks": 365,
        "outages": 365,
        "erased_accounts": integer(
            "KEEP_ERASED_ACCOUNTS_DAYS", 100, minimum=1
        ),  # in products, whose backups bring them back
        "webhook_deliveries": 30,  # what products were told by signed webhooks, and what they answered
        "daily_figures": 730,
        "report_figures": 730,
        "address_changes": 30,  # the former address; for 7 days one may object there
        "customer_changes": integer("KEEP_CUSTOMER_CHANGES_DAYS", 30, minimum=2),  # that another system can still read
        "api_keys": 365,  # once revoked or expired
        "data_copies": 7,  # of their own data that subscribers asked for
        "codes": 1,
        "rate_limits": 2,
    }
)

# --- Limits: uses of one subject (apps/core/limits.py); what a limit that is reached means, is said where it is spent ---
# Of a visitor's own address; the addresses of the network around it (IPv4 /24, IPv6 /48) have so many times as much together.
LIMIT_NETWORK_FACTOR = integer("LIMIT_NETWORK_FACTOR", 10, minimum=1)
LIMITS = {
    # Emails that strangers can cause: sign-up and recovery codes, waitlist confirmations. The network that asks for one mailbox
    # comes before the mailbox, so that a stranger cannot use up what its owner has.
    "mails_pair": rates("LIMIT_MAILS_PAIR", "5/1h 10/1d"),
    "mails_mailbox": rates("LIMIT_MAILS_MAILBOX", "15/1h 30/1d"),
    "mails_visitor": rates("LIMIT_MAILS_VISITOR", "20/1h"),
    "mails_all": rates("LIMIT_MAILS_ALL", "1000/1h"),
    "codes_pair": rates("LIMIT_CODES_PAIR", "1/1m"),
    "code_tries_session": rates("LIMIT_CODE_TRIES_SESSION", "5/1m"),
    "code_tries_visitor": rates("LIMIT_CODE_TRIES_VISITOR", "10/1m 30/1h"),
    "staff_code_pair": rates("LIMIT_STAFF_CODE_PAIR", "5/10m"),
    "staff_code_mailbox": rates("LIMIT_STAFF_CODE_MAILBOX", "50/10m"),
    "wrong_codes_all": rates("LIMIT_WRONG_CODES_ALL", "300/1h"),
    "signups_visitor": rates("LIMIT_SIGNUPS_VISITOR", "20/1h"),
    "signups_all": rates("LIMIT_SIGNUPS_ALL", "200/1h"),
    "usernames_session": rates("LIMIT_USERNAMES_SESSION", "10/1m"),
    "usernames_visitor": rates("LIMIT_USERNAMES_VISITOR", "30/1h"),
    "checkouts_mailbox": rates("LIMIT_CHECKOUTS_MAILBOX", "3/1h"),
    "checkouts_visitor": rates("LIMIT_CHECKOUTS_VISITOR", "10/1h"),
    "waitlist_visitor": rates("LIMIT_WAITLIST_VISITOR", "20/1h"),
    "recovery_checkouts": rates("LIMIT_RECOVERY_CHECKOUTS", "10/1h"),
    "password_emails": rates("LIMIT_ACCOUNT_EMAILS", "3/1h"),
    "data_copies": rates("LIMIT_DATA_COPIES", "3/1d"),
    "address_codes": rates("LIMIT_ADDRESS_CODES", "10/1d"),
    "name_changes": rates("LIMIT_NAME_CHANGES", "10/1d"),
    # Emails that staff send again: to one subscriber, and by one of staff.
    "repeated_emails": rates("LIMIT_REPEATED_EMAILS", "5/1h 10/1d"),
    "repeated_emails_staff": rates("LIMIT_REPEATED_EMAILS_STAFF", "200/1h"),
    # Invitations to a subscription that is for several people: by one payer, and of one address by one payer.
    "people_invitations": rates("LIMIT_PEOPLE_INVITATIONS", "20/1d"),
    "people_invitation": rates("LIMIT_PEOPLE_INVITATION", "3/1d"),
    "contract_endings": rates("LIMIT_CONTRACT_ENDINGS", "10/1h"),
    "portal_links": rates("LIMIT_PORTAL_LINKS", "30/1h"),
    "invoice_links": rates("LIMIT_INVOICE_LINKS", "240/1h"),
    "plan_previews": rates("LIMIT_PLAN_PREVIEWS", "60/1h"),
    "plan_changes": rates("LIMIT_PLAN_CHANGES", "10/1h 30/1d"),
    "staff_refunds": rates("LIMIT_STAFF_REFUNDS", "20/1h 60/1d"),
    "scrapes_visitor": rates("LIMIT_SCRAPES_VISITOR", "60/1m"),
    "refused_events_visitor": rates("LIMIT_REFUSED_EVENTS_VISITOR", "60/1m"),
    # The customer API: requests with one key, and without a valid one by one visitor.
    "api_requests": rates("LIMIT_API_REQUESTS", "600/1m"),
    "api_refused_visitor": rates("LIMIT_API_REFUSED_VISITOR", "120/1m"),
    # Not settings: how often a page may have Stripe asked about one payment, and how often an alarm is told.
    "payment_checks": ((1, 10),),
    "alarms": ((1, 300),),
    "exports_staff": ((5, 86_400),),  # lists of subscribers that one of staff takes away in a day
    "event_tokens": ((1, 2 * 86_400),),  # of Mailgun's signatures: each counts once
}

# How many days the link to join somebody else's subscription works (apps/onboarding/people.py).
PEOPLE_INVITATION_DAYS = integer("PEOPLE_INVITATION_DAYS", 14, minimum=1)

# What support may do by itself for a late payment; an operator may do more.
GRACE_EXTENSION_DAYS = integer("GRACE_EXTENSION_DAYS", 14, minimum=1)
GRACE_EXTENSION_PAUSE_DAYS = integer("GRACE_EXTENSION_PAUSE_DAYS", 30, minimum=1)
GRACE_EXTENSION_APPROVED_DAYS = integer("GRACE_EXTENSION_APPROVED_DAYS", 60, minimum=1)  # with an operator's approval

# What nobody of staff does alone (apps/operations/approvals.py).
TWO_PEOPLE_ABOVE = integer("TWO_PEOPLE_ABOVE", 20, minimum=1)  # changes for more subscribers than this at once
APPROVAL_HOURS = integer("APPROVAL_HOURS", 72, minimum=1)  # after which a request expires

# Seat plans (apps/operations/seat_plan_job.py): after how many days who has not answered is reminded, once.
SEAT_PLAN_REMINDER_DAYS = integer("SEAT_PLAN_REMINDER_DAYS", 5, minimum=1)

# Incident mode (apps/access/freezes.py): how far ahead its end may lie, when it begins and when it is prolonged.
INCIDENT_MAX_HOURS = integer("INCIDENT_MAX_HOURS", 72, minimum=1)

# Unfinished bodies that one web process waits for (apps/core/request_bodies.py); each costs a thread.
SLOW_BODIES = integer("SLOW_BODIES", 96, minimum=80)

# --- Staff (apps/console/fresh_logins.py) -----------------------------------------------------------------------------
STAFF_FRESH_MINUTES = integer("STAFF_FRESH_MINUTES", 5, minimum=2)  # the login before a dangerous action
STAFF_REFUND_LIMIT = integer("STAFF_REFUND_LIMIT", 500, minimum=1)  # at once, in whole units; an admin may refund more
STAFF_CHECK_SECONDS = integer("STAFF_CHECK_SECONDS", 60)  # how old the last word from Keycloak may be when staff act
STAFF_UNCHECKED_MINUTES = integer("STAFF_UNCHECKED_MINUTES", 15)  # the same while Keycloak does not answer

# --- Seats that are reserved and not paid (apps/onboarding/unpaid_seats.py) -------------------------------------------
SEATS_UNPAID_SHARE = integer("SEATS_UNPAID_SHARE", 50, minimum=1)  # per cent of the seats that are not paid for
SEATS_UNPAID_PER_NETWORK = integer("SEATS_UNPAID_PER_NETWORK", 5, minimum=1)
SEATS_UNPAID_PER_DOMAIN = integer("SEATS_UNPAID_PER_DOMAIN", 10, minimum=1)
MAILBOX_PROVIDERS = frozenset(
    words(
        "MAILBOX_PROVIDERS",
        "gmail.com googlemail.com outlook.com hotmail.com live.com icloud.com me.com yahoo.com aol.com proton.me gmx.de gmx.net"
        " web.de t-online.de freenet.de posteo.de mailbox.org",
    )
)
CHECKOUT_ABANDONED_MINUTES = integer("CHECKOUT_ABANDONED_MINUTES", 10, minimum=1)
CHECKOUT_RUSH = integer("CHECKOUT_RUSH", 5, minimum=1)

# --- Backups (apps/core/backups.py) -----------------------------------------------------------------------------------
# By a managed Postgres, for example: nobody is told that there are none.
BACKUPS_ELSEWHERE = boolean("BACKUPS_ELSEWHERE", default=False)
