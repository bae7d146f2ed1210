"""The steps at which a worker can be told to die: the way from an event of Stripe's to access and mails, and out again.

A name to where it is: module, attribute in it (or class and method), and whether the death comes before or after it.
"""

BEFORE, AFTER = "before", "after"

JOINING: dict[str, tuple[str, str, str]] = {
    "an event was taken": ("kind", "handle_event", BEFORE),
    "waiting events were counted": ("apps.billing.mirror", "find_waiting", AFTER),
    "Stripe has told the money": ("apps.billing.payments", "read_payments", AFTER),
    "dj-stripe has a first row": ("apps.billing.mirror_rows", "_upsert", AFTER),
    "our subscription is written": ("apps.billing.fact_rows", "_write_subscription", AFTER),
    "its lines are written": ("apps.billing.fact_rows", "_write_items", AFTER),
    "the profile's summary is written": ("apps.billing.fact_rows", "_update_profile", AFTER),
    "the facts are written": ("apps.billing.mirror", "write_customer", AFTER),
    "the facts are committed": ("apps.billing.mirror", "_write", AFTER),
    "its events are covered": ("apps.billing.mirror", "mark_covered", AFTER),
    "the customer is mirrored": ("apps.billing.mirror", "mirror_customer", AFTER),
    "the event is handled": ("kind", "handle_event", AFTER),
    "the session was looked up": ("apps.onboarding.checkout_result", "fetch_or_close_session", AFTER),
    "the payment is accepted": ("apps.onboarding.checkout_result", "accept_payment", AFTER),
    "the signup's job is over": ("kind", "check_checkout", AFTER),
    "a look begins": ("kind", "sync_user_post_checkout", BEFORE),
    "the decision is recorded": ("apps.access.recording", "record_decision", AFTER),
    "Keycloak was read": ("apps.access.reconcile", "observe", AFTER),
    "an account is about to be made": ("apps.identity.keycloak", "Keycloak.create_user", BEFORE),
    "the account is made": ("apps.identity.keycloak", "Keycloak.create_user", AFTER),
    "the account is ours": ("step", "CreateAccount", AFTER),
    "the seat is taken": ("apps.access.apply", "_assign", AFTER),
    "the account is about to join": ("apps.identity.keycloak", "Keycloak.join_group", BEFORE),
    "the account is in the group": ("apps.identity.keycloak", "Keycloak.join_group", AFTER),
    "the group is noted": ("step", "JoinGroup", AFTER),
    "our own groups are set": ("step", "SetLocalGroups", AFTER),
    "everything is so": ("apps.access.reconcile", "apply_until_synced", AFTER),
    "the look is recorded": ("apps.access.recording", "record_done", AFTER),
    "the look is over": ("kind", "sync_user_post_checkout", AFTER),
    "the password mail is about to go": ("apps.identity.keycloak", "Keycloak.send_password_email", BEFORE),
}
LEAVING: dict[str, tuple[str, str, str]] = {
    "a look at who leaves begins": ("kind", "reconcile", BEFORE),
    "the account is closed": ("apps.identity.keycloak", "Keycloak.update_user", AFTER),
    "the sessions are ended": ("apps.identity.keycloak", "Keycloak.end_sessions", AFTER),
    "the account has left": ("apps.identity.keycloak", "Keycloak.leave_group", AFTER),
    "the seat is kept back": ("step", "RetainSeat", AFTER),
    "the news is about to be told": ("kind", "notify_subscription_canceled", BEFORE),
    "the news is told": ("kind", "notify_subscription_canceled", AFTER),
    "the mail is about to be handed over": ("apps.notifications.mailgun", "send", BEFORE),
    "the mail was handed over": ("apps.notifications.mailgun", "send", AFTER),
    "the mail is sent": ("kind", "send_notification", AFTER),
}
