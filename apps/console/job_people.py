"""Whose job it is: the subscriber behind the key of a job, which is their number, their Stripe customer, an event or an email of theirs."""

from collections.abc import Iterable

from django.db import connection

from apps.access import lifecycle_emails, reconcile
from apps.billing import covered_events, customers, second_subscription
from apps.core.masking import USERNAME, mask
from apps.identity import account_details, logout_everywhere, passwords
from apps.notifications import mail
from apps.onboarding import recovery
from apps.operations.keycloak_write_back import WRITES

# Of jobs whose key is the number of a subscriber; lifecycle emails have more behind it, after a colon.
SUBSCRIBER_KINDS = (
    *reconcile.KINDS,
    passwords.KIND,
    logout_everywhere.KIND,
    account_details.WRITE_NAME,
    account_details.WRITE_LANGUAGE,
    account_details.FILL_LANGUAGE,
    recovery.SEND_CODE,
)
OTHERS = (customers.UPDATE, second_subscription.OWN, *lifecycle_emails.EMAILS, *(one.job for one in WRITES.values()))
NUMBERED = ", ".join(f"'{kind}'" for kind in (*SUBSCRIBER_KINDS, *OTHERS))

# SQL: the number of the subscriber of the row `job`, or null.
SUBSCRIBER_OF_JOB = f"""CASE
    WHEN job.kind IN ({NUMBERED}) AND job.key ~ '^[0-9]{{1,18}}(:|$)' THEN split_part(job.key, ':', 1)::bigint
    WHEN job.kind = '{covered_events.KIND}' THEN (
        SELECT person.id FROM billing_inboundevent event JOIN accounts_userprofile person ON person.stripe_customer_id = event.customer_id
        WHERE event.stripe_event_id = job.key LIMIT 1)
    WHEN job.kind = '{mail.KIND}' AND job.key ~ '^[0-9]{{1,18}}$' THEN (
        SELECT email.profile_id FROM notifications_notification email WHERE email.id = job.key::bigint)
    WHEN job.key ~ '^cus_' THEN (SELECT person.id FROM accounts_userprofile person WHERE person.stripe_customer_id = job.key)
END"""  # noqa: S608  (constants of the code)
NAMES = f"""
SELECT job.id, person.id, member.username FROM core_job job
JOIN LATERAL (SELECT id, user_id FROM accounts_userprofile WHERE id = {SUBSCRIBER_OF_JOB} OFFSET 0) person ON true
JOIN auth_user member ON member.id = person.user_id
WHERE job.id = ANY(%s)
"""  # noqa: S608


def find_people(job_ids: Iterable[int]) -> dict[int, tuple[int, str]]:
    """The number and the username of the subscriber of each of these jobs that is about one; one query."""
    with connection.cursor() as cursor:
        cursor.execute(NAMES, [list(job_ids)])
        return {job: (person, mask(USERNAME, name)) for job, person, name in cursor.fetchall()}
