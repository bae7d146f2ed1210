"""One mail per key, whatever Mailgun does: refuses, is away, breaks the connection, or loses its answer."""

import datetime as dt
import threading
import time
from importlib import import_module

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import UserProfile
from apps.core import clock, jobs, languages, retention
from apps.core.models import Dependency, Job
from apps.notifications import mail
from apps.notifications.models import Notification
from apps.sandbox.run.servers import free_port
from tests.sandbox.keycloak_fixture import Standin

pytestmark = pytest.mark.django_db
TO = "nora@example.com"
hide_links = import_module("apps.notifications.migrations.0007_encrypt_links").hide_links


def ask(key: str = "expired:1") -> Notification:
    mail.notify(key=key, template="expired", to=TO, context={"first_name": "Nora"})
    return Notification.objects.get(key=key)


def run_due() -> None:
    """As if the back-off were over and the dependency due for a probe."""
    past = clock.now() - dt.timedelta(seconds=1)
    Job.objects.filter(state="queued").update(not_before=past)
    Dependency.objects.update(probe_at=past)
    jobs.drain()


def test_a_mail_is_sent_once_with_both_parts_and_our_marks(mailgun: Standin) -> None:
    row = ask()
    mail.notify(key=row.key, template="expired", to="somebody.else@example.com")
    jobs.drain()
    (sent,) = mailgun.inbox()
    assert sent["to"] == [TO]
    assert sent["tags"] == ["expired"]
    assert sent["variables"]["notification"] == str(row.pk)
    assert "Hello Nora," in sent["text"]
    assert "Hello <bdi>Nora</bdi>," in sent["html"]
    row.refresh_from_db()
    assert (row.state, row.error, row.lost_answers) == ("sent", "", 0)
    assert row.provider_id
    assert row.sent_at


def test_a_note_to_staff_is_english_whoever_caused_it() -> None:
    with languages.speaking("de"):
        mail.notify(key="waitlist_note:1", template="waitlist_note", to="staff@example.com", context={"email": TO})
        mail.notify(key="waitlist_confirm:1", template="waitlist_confirm", to=TO, context={"confirm_url": "x"})
    spoken = dict(Notification.objects.values_list("template", "language"))
    assert spoken == {"waitlist_note": "en", "waitlist_confirm": "de"}


def test_a_mail_asked_for_in_a_transaction_that_fails_is_never_sent(mailgun: Standin) -> None:
    with transaction.atomic():
        ask()
        transaction.set_rollback(True)
    jobs.drain()
    assert mailgun.inbox() == []
    assert not Notification.objects.exists()


@pytest.mark.fault("F59")
def test_a_refused_mail_is_failed_with_mailguns_words_and_needs_an_operator(
    mailgun: Standin,
) -> None:
    mailgun.fault("refuse", peer="mailgun")
    row = ask()
    jobs.drain()
    row.refresh_from_db()
    assert row.state == "failed"
    assert "400 to parameter is not a valid address." in row.error
    assert Job.objects.get().state == "blocked"
    mailgun.fault("ok", peer="mailgun")
    run_due()
    assert mailgun.inbox() == []


@pytest.mark.parametrize("to", ["a@[127.0.0.1", "a b@example.com", "a@example.com, b@example.com", TO])
def test_an_address_that_a_stranger_typed_and_nobody_has_is_no_work_for_an_operator(mailgun: Standin, to: str) -> None:
    if to == TO:
        mailgun.fault("refuse", peer="mailgun")
    values = {"confirm_url": "https://example.com/confirm"}
    mail.notify(key="confirm:1", template="waitlist_confirm", to=to, context=values)
    mail.notify(key="note:1", template="waitlist_note", to=to, context={"email": to})  # the house's own address
    jobs.drain()
    assert list(Notification.objects.values_list("state", flat=True)) == ["failed", "failed"]
    assert sorted(Job.objects.values_list("state", flat=True)) == ["blocked", "done"]
    mailgun.fault("ok", peer="mailgun")
    assert mailgun.inbox() == []


@pytest.mark.parametrize("fault", ["http_500", "http_429"])
@pytest.mark.fault("F59")
def test_a_fault_of_mailgun_is_tried_again(mailgun: Standin, fault: str) -> None:
    mailgun.fault(fault, peer="mailgun")
    row = ask()
    jobs.drain()
    row.refresh_from_db()
    assert (row.state, row.lost_answers) == ("queued", 0)
    assert Job.objects.get().attempts == 1
    mailgun.fault("ok", peer="mailgun")
    run_due()
    row.refresh_from_db()
    assert row.state == "sent"
    assert len(mailgun.inbox()) == 1


@pytest.mark.parametrize("fault", ["http_503", "http_401", "http_403"])
def test_a_mailgun_that_is_away_or_refuses_our_key_parks_mails_unspent(mailgun: Standin, fault: str) -> None:
    mailgun.fault(fault, peer="mailgun")
    row = ask()
    jobs.drain()
    run_due()
    job = Job.objects.get()
    assert (job.state, job.attempts, job.parked_on) == ("queued", 0, "mailgun")
    mailgun.fault("ok", peer="mailgun")
    run_due()
    row.refresh_from_db()
    assert (row.state, row.lost_answers) == ("sent", 0)
    assert len(mailgun.inbox()) == 1
    assert not Dependency.objects.exists()


def test_a_refused_connection_parks_mails_unspent(mailgun: Standin, settings: object) -> None:
    settings.ANYMAIL = settings.ANYMAIL | {"MAILGUN_API_URL": f"http://127.0.0.1:{free_port()}/mailgun/v3"}
    row = ask()
    jobs.drain()
    row.refresh_from_db()
    assert (row.state, row.lost_answers) == ("queued", 0)
    assert Job.objects.get().parked_on == "mailgun"


@pytest.mark.fault("F59")
def test_one_lost_answer_means_at_most_two_mails_and_is_counted(mailgun: Standin) -> None:
    mailgun.fault("accept_then_lose", peer="mailgun", times=1)
    row = ask()
    jobs.drain()
    row.refresh_from_db()
    assert (row.state, row.lost_answers) == ("uncertain", 1)
    run_due()
    run_due()
    row.refresh_from_db()
    assert (row.state, row.lost_answers) == ("sent", 1)
    assert len(mailgun.inbox()) == 2


@pytest.mark.fault("F59")
def test_after_two_lost_answers_nothing_is_sent_by_itself(mailgun: Standin) -> None:
    mailgun.fault("accept_then_lose", peer="mailgun")
    row = ask()
    for _ in range(6):
        run_due()
    row.refresh_from_db()
    assert (row.state, row.lost_answers) == ("uncertain", 2)
    job = Job.objects.get()
    assert job.state == "blocked"
    assert "Look in Mailgun's log" in job.last_error
    assert len(mailgun.inbox()) == 2
    mailgun.fault("ok", peer="mailgun")
    jobs.retry(job, actor="staff:ada")  # the job's button alone does not risk a third mail
    jobs.drain()
    assert len(mailgun.inbox()) == 2


def test_a_slow_answer_counts_as_lost(mailgun: Standin, settings: object) -> None:
    settings.ANYMAIL = settings.ANYMAIL | {"REQUESTS_TIMEOUT": 0.3}
    mailgun.fault("slow", peer="mailgun", delay_ms=1000, times=1, method="POST")
    row = ask()
    jobs.drain()
    row.refresh_from_db()
    assert (row.state, row.lost_answers) == ("uncertain", 1)
    for _ in range(50):
        if mailgun.inbox():
            break
        time.sleep(0.1)
    assert len(mailgun.inbox()) == 1  # it was on its way indeed


def test_a_worker_killed_over_the_call_leaves_a_trace_that_counts(mailgun: Standin) -> None:
    row = ask()
    Notification.objects.update(state="sending")
    jobs.drain()
    row.refresh_from_db()
    assert (row.state, row.lost_answers) == ("sent", 1)
    assert len(mailgun.inbox()) == 1


def test_the_row_says_sending_before_mailgun_is_called(mailgun: Standin, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def look(*_args: object, **_more: object) -> str:
        seen.append(Notification.objects.get().state)
        raise SystemExit  # as a worker that is ended in the middle

    monkeypatch.setattr("apps.notifications.mailgun.send", look)
    row = ask()
    with pytest.raises(SystemExit):
        jobs.drain()
    row.refresh_from_db()
    assert seen == [row.state] == ["sending"]


def test_an_address_that_cannot_be_written_is_refused_and_not_retried(mailgun: Standin) -> None:
    mail.notify(key="k", template="expired", to="no-address")
    jobs.drain()
    assert Notification.objects.get().state == "failed"
    assert Job.objects.get().state == "blocked"


# --- codes -------------------------------------------------------------------------------------------------------------


def ask_for_code(valid_for: dt.timedelta = dt.timedelta(minutes=10)) -> Notification:
    mail.notify_secret(
        key="signup_code:1",
        template="signup_code",
        to=TO,
        secret_context={"code": "493 027", "minutes": "10"},
        valid_for=valid_for,
    )
    return Notification.objects.get()


def test_a_code_reaches_the_mail_and_never_lies_readable_in_the_database(mailgun: Standin) -> None:
    with CaptureQueriesContext(
        connection,
    ) as queries:
        row = ask_for_code()
        assert row.context == {}
        assert row.encrypted
        assert "493" not in row.encrypted
        jobs.drain()
    assert "493 027" in mailgun.inbox()[0]["text"]
    assert not [one for one in queries.captured_queries if "493 027" in one["sql"]]
    row.refresh_from_db()
    assert (row.state, row.encrypted) == ("sent", "")


def test_a_code_that_is_too_old_is_not_sent_and_wiped(mailgun: Standin) -> None:
    row = ask_for_code(valid_for=dt.timedelta(seconds=-1))
    jobs.drain()
    row.refresh_from_db()
    assert (row.state, row.encrypted) == ("failed", "")
    assert mailgun.inbox() == []


@pytest.mark.parametrize("fault", ["refuse", "accept_then_lose"])
def test_a_code_is_wiped_when_its_mail_is_given_up(mailgun: Standin, fault: str) -> None:
    mailgun.fault(fault, peer="mailgun")
    row = ask_for_code()
    assert row.encrypted
    for _ in range(3):
        run_due()
    row.refresh_from_db()
    assert row.encrypted == ""


def test_a_code_sealed_under_another_key_fails_with_the_reason(mailgun: Standin, settings: object) -> None:
    row = ask_for_code()
    settings.SECRET_KEY = "another key, long enough to be one, and not the one before it"
    jobs.drain()
    row.refresh_from_db()
    assert row.state == "failed"
    assert "SECRET_KEY was changed" in row.error
    assert Job.objects.get().state == "blocked"


# --- news about money ----------------------------------------------------------------------------------------------------


@pytest.fixture
def profile() -> UserProfile:
    user = User.objects.create(username="nora", first_name="Nora")
    return UserProfile.objects.create(
        user=user,
        email=TO,
        stripe_customer_id="cus_1",
        created_at=clock.now(),
        access_state="on_hold",
        access_reason={"code": "on_hold"},
        final_expiry_at=dt.datetime(2026, 12, 3, 23, 30, tzinfo=dt.UTC),
    )


def test_the_end_of_a_subscription_is_told_once_with_the_final_day(mailgun: Standin, profile: UserProfile) -> None:
    for _ in range(2):
        jobs.defer("notify_subscription_canceled", f"{profile.pk}:sub_1")
        jobs.drain()
    (sent,) = mailgun.inbox()
    assert "Your account is on hold." in sent["text"]
    assert "until 3 December 2026" in sent["text"]
    assert Notification.objects.get().key == f"subscription_canceled:{profile.pk}:sub_1"
    assert Notification.objects.get().profile == profile


@pytest.mark.parametrize("known", [True, False])
def test_a_failed_payment_is_told_once_per_invoice_with_the_link_to_pay(
    mailgun: Standin, profile: UserProfile, known: bool
) -> None:
    from apps.billing.models import Subscription

    Subscription.objects.create(
        stripe_id="sub_1",
        customer_id="cus_1",
        status="past_due",
        stripe_created_at=clock.now(),
        fetched_at=clock.now(),
        open_invoice_id="in_1",
        open_invoice_url="https://invoice.example.com/i/1" if known else "",
    )
    for invoice in ("in_1", "in_1", "in_paid"):  # of the last one nothing is to be paid any more
        jobs.defer("notify_payment_failed", f"{profile.pk}:{invoice}")
        jobs.drain()
    (sent,) = mailgun.inbox()
    assert ("https://invoice.example.com/i/1" in sent["links"]) is known
    assert ("http://localhost:8000/dashboard/" in sent["links"]) is not known


def test_news_about_a_profile_that_is_gone_is_no_news(mailgun: Standin) -> None:
    jobs.defer("notify_payment_failed", "987654:in_1")
    jobs.drain()
    assert Job.objects.get().state == "done"
    assert mailgun.inbox() == []


# --- at once -------------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.fault("F59")
def test_sixteen_threads_that_ask_for_one_key_send_one_mail(mailgun: Standin) -> None:
    start = threading.Barrier(16)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            start.wait()
            ask()
            jobs.drain()
        except BaseException as error:  # noqa: BLE001  (shown by the assertion below)
            failures.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert Notification.objects.get().state == "sent"
    assert len(mailgun.inbox()) == 1


# --- links ------------------------------------------------------------------------------------------------------------

LINK = "https://frontdesk.example.com/onboarding/waitlist/confirm/the-right-to-act"


def ask_for_link() -> Notification:
    values = {"confirm_url": LINK, "product": "Cloud"}
    mail.notify(key="confirm:1", template="waitlist_confirm", to=TO, context=values)
    return Notification.objects.get()


def is_readable() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM notifications_notification AS one WHERE one::text LIKE '%right-to-act%'")
        return bool(cursor.fetchone()[0])


def test_a_link_reaches_the_mail_and_never_lies_readable_in_the_database(mailgun: Standin) -> None:
    """Whoever read the table while a mail waited, or after it failed, could act as its recipient."""
    mailgun.fault("http_500", peer="mailgun")
    row = ask_for_link()
    assert row.context == {"product": "Cloud"}
    jobs.drain()
    assert not is_readable()
    mailgun.fault("ok", peer="mailgun")
    run_due()
    row.refresh_from_db()
    assert LINK in mailgun.inbox()[0]["text"]
    assert (row.state, row.encrypted) == ("sent", "")


def test_the_link_of_a_mail_that_is_refused_is_wiped(mailgun: Standin) -> None:
    mailgun.fault("refuse", peer="mailgun")
    row = ask_for_link()
    jobs.drain()
    row.refresh_from_db()
    assert (row.state, row.encrypted) == ("failed", "")
    assert not is_readable()


def test_the_link_of_a_mail_that_may_have_been_sent_goes_with_its_contents(mailgun: Standin) -> None:
    row = ask_for_link()
    mail.doubt_queued(clock.now() + dt.timedelta(seconds=1))
    Notification.objects.update(created_at=clock.now() - dt.timedelta(days=31))
    retention.prune_all()
    row.refresh_from_db()
    assert (row.state, row.encrypted) == ("uncertain", "")


def test_links_of_before_are_hidden_by_a_migration(mailgun: Standin) -> None:
    row = ask_for_link()
    readable = {"context": {"confirm_url": LINK, "product": "Cloud"}, "encrypted": ""}
    Notification.objects.update(**readable)
    sent = {"key": "2", "template": "waitlist_confirm", "to": TO, "state": "sent", "sent_at": clock.now()}
    Notification.objects.create(created_at=clock.now(), **sent, **readable)
    assert is_readable()
    hide_links(apps, None)
    assert not is_readable()
    jobs.drain()
    assert LINK in mailgun.inbox()[0]["text"]
    assert not Notification.objects.exclude(encrypted="").exists()
    row.refresh_from_db()
    assert (row.state, row.context) == ("sent", {"product": "Cloud"})
