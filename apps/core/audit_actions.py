"""Every action of the audit trail, with the words in which staff read it."""

from django.db import models


class AuditAction(models.TextChoices):
    """What was done: the stored value, and its label."""

    # access
    ACCESS_CHANGED = "access_changed", "Access changed"
    ACCOUNT_CORRECTED = "account_corrected", "Account corrected"
    ACCOUNT_CREATED = "account_created", "Keycloak account created"
    ACCOUNT_ENABLED = "account_enabled", "Keycloak account enabled"
    ACCOUNT_DISABLED = "account_disabled", "Keycloak account disabled"
    ATTRIBUTES_WRITTEN = "attributes_written", "Keycloak attributes written"
    GROUP_JOINED = "group_joined", "Group joined"
    GROUP_LEFT = "group_left", "Group left"
    SESSIONS_ENDED = "sessions_ended", "Sessions ended"
    OVERRIDE_ADDED = "override_added", "Override added"
    OVERRIDE_ENDED = "override_ended", "Override ended"
    SYNC_REQUESTED = "sync_requested", "Sync requested"
    SEATS_REQUESTED = "seats_requested", "Seats requested"
    # payments
    DISPUTE_OPENED = "dispute_opened", "Dispute opened"
    DISPUTE_LOST = "dispute_lost", "Dispute lost"
    DISPUTE_CLOSED = "dispute_closed", "Dispute closed"
    COLLECTION_PAUSED = "collection_paused", "Payment collection paused"
    COLLECTION_RESUMED = "collection_resumed", "Payment collection resumed"
    # seats and instances
    SEAT_RESERVED = "seat_reserved", "Seat reserved"
    SEAT_ASSIGNED = "seat_assigned", "Seat assigned"
    SEAT_RETAINED = "seat_retained", "Seat retained"
    SEAT_RELEASED = "seat_released", "Seat released"
    SEAT_MOVED = "seat_moved", "Seat moved"
    SEAT_WAITING = "seat_waiting", "Waiting for a seat"
    INSTANCE_CREATED = "instance_created", "Instance created"
    INSTANCE_CAPS_CHANGED = "instance_caps_changed", "Caps changed"
    INSTANCE_AVAILABILITY_CHANGED = "instance_availability_changed", "Availability changed"
    # signup, recovery, waitlist
    SIGNED_UP = "signed_up", "Signed up"
    CUSTOMER_REPLACED = "customer_replaced", "Stripe customer replaced"
    CHECKOUT_PAID = "checkout_paid", "Checkout paid"
    SIGNUP_EXPIRED = "signup_expired", "Signup expired"
    SIGNUP_FAILED = "signup_failed", "First payment failed"
    RECOVERY_CODE_REQUESTED = "recovery_code_requested", "Recovery code requested"
    RECOVERY_CODE_VERIFIED = "recovery_code_verified", "Recovery code verified"
    RECOVERY_OPENED = "recovery_opened", "Recovery opened"
    RECOVERY_CLOSED = "recovery_closed", "Recovery closed"
    WAITLIST_CONFIRMED = "waitlist_confirmed", "Joined the waitlist"
    WAITLIST_INVITED = "waitlist_invited", "Invited from the waitlist"
    WAITLIST_LEFT = "waitlist_left", "Left the waitlist"
    # logins
    LOGGED_IN = "logged_in", "Logged in"
    LOGGED_OUT = "logged_out", "Logged out"
    # email
    PASSWORD_EMAIL_REQUESTED = "password_email_requested", "Password email requested"
    PASSWORD_EMAIL_SENT = "password_email_sent", "Password email sent"
    EMAIL_RESENT = "email_resent", "Email sent again"
    TEST_EMAIL_REQUESTED = "test_email_requested", "Test email requested"
    TEST_EMAIL_SENT = "test_email_sent", "Test email sent"
    TEST_EMAIL_FAILED = "test_email_failed", "Test email failed"
    TEST_EMAIL_NO_RECIPIENT = "test_email_no_recipient", "Test email without recipient"
    # staff and operations
    TERMS_CHANGED = "terms_changed", "Terms changed"
    NAMES_REMOVED = "names_removed", "Names removed from old entries"
    TEST_ALERT_REQUESTED = "test_alert_requested", "Test alert requested"
    LAW_CHECK_REQUESTED = "law_check_requested", "Check of the laws requested"
    ATTENTION_CLOSED = "attention_closed", "Attention item closed"
    ACTION_REFUSED = "action_refused", "Action refused"
    PERSON_ERASED = "person_erased", "Personal data erased"
    PERSON_VIEWED = "person_viewed", "Personal data viewed"
    STAFF_LOGGED_IN = "staff_logged_in", "Staff logged in"
    STAFF_LOGIN_REFUSED = "staff_login_refused", "Staff login refused"
    STAFF_ROLES_CHANGED = "staff_roles_changed", "Staff roles changed"
    PRODUCT_CREATED = "product_created", "Product created"
    PRODUCT_CHANGED = "product_changed", "Product changed"
    PRICE_CREATED = "price_created", "Price created"
    PRICE_CHANGED = "price_changed", "Price changed"
    PRICE_MAPPED = "price_mapped", "Price mapped to a product"
    DRIFT_FOUND = "drift_found", "Drift found"
    DRIFT_FIXED = "drift_fixed", "Drift fixed"
    DRIFT_IGNORED = "drift_ignored", "Drift ignored"
    COMPARISON_REQUESTED = "comparison_requested", "Comparison requested"
    SYNC_RUN_STARTED = "sync_run_started", "Sync run started"
    SYNC_RUN_RETRIED = "sync_run_retried", "Sync run retried"
    RESTORE_NOTICED = "restore_noticed", "Restored database noticed"
    RESTORE_FINISHED = "restore_finished", "Check after a restore finished"
    SUBSCRIBER_FOUND = "subscriber_found", "Found again after a restore"
    REVOCATION_APPROVED = "revocation_approved", "Revocation approved"
    JOB_RETRIED = "job_retried", "Job retried"
    EVENT_RETRIED = "event_retried", "Event processed again"
    EVENT_IGNORED = "event_ignored", "Event ignored"


def action_label(action: str) -> str:
    """The words for a stored action; an unknown one is shown as its own words."""
    try:
        return AuditAction(action).label
    except ValueError:
        return action.replace("_", " ").replace(".", " ").capitalize()
