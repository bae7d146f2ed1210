"""The list of emails and the page of one: what it was, who it was for, what became of it; and sending it again."""

import datetime as dt
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.core import clock, jobs
from apps.core.models import AuditEntry
from apps.notifications import mail
from apps.notifications.email_list import email_title
from apps.notifications.models import Notification
from apps.notifications.reasons import explain, explain_refusal
from tests.console.conftest import World
from tests.console.desk import REASON
from tests.console.test_actions import told_before
from tests.rows import writes

pytestmark = pytest.mark.django_db
LIST = "/admin/notifications/notification/"
AGAIN = f"{LIST}send_selected_again/"
Staff = Callable[..., Client]


def text(answer: Any) -> str:
    return " ".join(answer.content.decode().split())


def code_for(address: str, **more: Any) -> Notification:
    values = {
        "template": "recovery_code",
        "to": address,
        "state": "failed",
        "error": "400 to parameter is not a valid address.",
    }
    return Notification.objects.create(key="a code", created_at=clock.now(), **values | more)  # fmt: skip


def test_a_code_that_was_refused_is_on_the_page_of_who_has_the_address(world: World, staff: Staff) -> None:
    client, profile = staff("viewer"), world.profiles[0]
    code = code_for("Person-0@Example.com")
    page = text(client.get(reverse("admin:accounts_userprofile_tab", args=[profile.pk]), {"tab": "mails"}))
    assert "Recovery code" in page
    assert '<span class="fd-badge fd-bad">Not sent</span>' in page
    assert "Mailgun does not take this for an address." in page
    other = client.get(reverse("admin:accounts_userprofile_tab", args=[world.profiles[1].pk]), {"tab": "mails"})
    assert "Recovery code" not in text(other)
    found = client.get(LIST, {"person": profile.pk})
    assert {row.pk for row in found.context["cl"].result_list} == {code.pk, Notification.objects.get(key="code-0").pk}
    person = reverse("admin:accounts_userprofile_change", args=[profile.pk])
    row = re.search(rf"<tr[^>]*>(?:(?!</tr>).)*{code.pk}/change(?:(?!</tr>).)*</tr>", text(client.get(LIST)))
    assert row is not None
    assert f'href="{person}"' in row[0]
    assert f'href="{person}"' in text(client.get(f"{LIST}{code.pk}/change/"))
    timeline = text(client.get(reverse("admin:accounts_userprofile_timeline", args=[profile.pk])))
    assert "Email: Recovery code" in timeline


def test_the_list_says_in_words_what_came_back_and_why_and_links_its_job(world: World, staff: Staff) -> None:
    client, row = staff("viewer"), told_before(world)
    now = clock.now()
    Notification.objects.filter(pk=row.pk).update(
        delivery="bounced", delivery_at=now, delivery_reason="5.1.1 <…>: no such user here"
    )
    job = jobs.defer(mail.KIND, row.pk)
    page = text(client.get(LIST))
    assert "Welcome back" in page
    assert '<span class="fd-badge fd-bad">Bounced</span>' in page
    assert "There is no mailbox with this address." in page
    assert reverse("admin:core_job_change", args=[job]) in page


@pytest.mark.parametrize(
    ("delivery", "said", "words"),
    [
        ("bounced", "550 5.1.1 …: Recipient address rejected: User unknown", "no mailbox"),
        ("delayed", "452 4.2.2 …: the mailbox is full", "full"), ("bounced", "552-5.2.2 The email account is over quota", "full"),
        ("bounced", "550 5.1.2 Host unknown", "domain"), ("bounced", "554 5.7.1 Message rejected as spam", "unwanted"),
        ("bounced", "550 5.7.26 Unauthenticated email is not accepted due to DMARC policy", "unwanted"),
        ("delayed", "451 4.7.1 Greylisting in action, please come back later", "unwanted|busy"), ("delayed", "421 4.3.2 try again later", "busy"),
        ("failed", "The recipient is on a list of ours.", "Mailgun does not try"), ("failed", "", "Mailgun did not send"),
        ("bounced", "something in no language", "did not take it"), ("complained", "whatever", "spam"), ("delivered", "OK", "^$"), ("", "", "^$"),
    ],
)  # fmt: skip
def test_the_other_servers_words_are_explained(delivery: str, said: str, words: str) -> None:
    assert re.search(words, explain(delivery, said)), explain(delivery, said)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("400 to parameter is not a valid address. please check documentation", "address"),
        ("402 Payment required", "limit"), ("404 Domain not found: mail.example.com", "MAILGUN_DOMAIN"), ("413 Message too large", "too large"),
        ("400 Sandbox subdomains are for test purposes only", "does not send for our domain"), ("400", "a reason that we do not know"),
        ("Mailgun's answer was lost.", "^Mailgun's answer was lost.$"), ("", "^$"),
    ],
)  # fmt: skip
def test_a_refusal_at_sending_is_explained_and_our_own_words_stay(error: str, words: str) -> None:
    assert re.search(words, explain_refusal(error)), explain_refusal(error)


def test_an_email_is_called_what_it_is_and_of_which_day(world: World) -> None:
    row = told_before(world)
    assert str(row) == f"{email_title('recovered')}, {row.created_at:%-d %B %Y}"
    assert row.key not in str(row)


def test_the_list_is_filtered_by_email_day_and_delivery(world: World, staff: Staff) -> None:
    client, row = staff("viewer"), told_before(world)
    before = clock.now() - dt.timedelta(days=3)
    Notification.objects.filter(pk=row.pk).update(created_at=before, delivery="delivered", delivery_at=before)

    def found(**asked: str) -> set[int]:
        return {one.pk for one in client.get(LIST, asked).context["cl"].result_list}

    assert found(kind="recovered") == found(day=f"{before:%Y-%m-%d}") == found(delivery__exact="delivered") == {row.pk}
    assert found(day=f"{clock.now():%Y-%m-%d}") == {one.pk for one in Notification.objects.exclude(pk=row.pk)}
    for day in ("yesterday", "9999-12-31", "0000-01-01"):
        assert client.get(LIST, {"day": day}).status_code == 302
    assert found(day="", kind="") == {one.pk for one in Notification.objects.all()}
    assert found(person="x") == found(person="987654") == set()
    assert client.get(LIST, {"kind": "nothing"}).status_code == 302


def test_the_dialog_shows_to_whom_and_what_before_anything_is_sent(world: World, staff: Staff) -> None:
    row, client, before = told_before(world), staff("support"), writes()
    dialog = text(client.get(f"{LIST}{row.pk}/send_one_again/"))
    assert "to person-0@example.com" in dialog
    assert "Welcome back to Frontdesk" in dialog
    assert "Your apps at Frontdesk are open again" in dialog
    assert writes() == before
    code = Notification.objects.get(key="code-0")
    assert "Send again" not in text(client.get(f"{LIST}{code.pk}/change/"))
    assert "send_one_again" in text(client.get(f"{LIST}{row.pk}/change/"))
    assert "send_one_again" not in text(staff("viewer").get(f"{LIST}{row.pk}/change/"))


def test_a_doubled_click_sends_once_and_codes_are_never_sent_again(world: World, staff: Staff) -> None:
    row, client = told_before(world), staff("support")
    code = Notification.objects.get(key="code-0")
    data = {"_form_submitted": "on", "reason": REASON}
    for _ in range(2):
        answer = client.post(f"{LIST}{row.pk}/send_one_again/", data)
    assert "less than ten minutes ago" in text(answer)
    assert "works once" in text(client.post(f"{LIST}{code.pk}/send_one_again/", data))
    assert [one.repeats for one in Notification.objects.filter(repeats__isnull=False)] == [row]
    assert AuditEntry.objects.filter(action="email_resent", reason=REASON).count() == 1
    again = row.repetitions.get()
    page = text(client.get(f"{LIST}{again.pk}/change/"))
    assert "Welcome back (again)" in page
    assert f'href="{LIST}{row.pk}/change/"' in page
    assert f'href="{LIST}{again.pk}/change/"' in text(client.get(f"{LIST}{row.pk}/change/"))


def test_of_those_selected_each_that_can_be_is_sent_and_the_rest_is_counted(world: World, staff: Staff) -> None:
    client, first = staff("support"), told_before(world)
    now = clock.now()
    late = Notification.objects.create(
        key=f"payment_failed:{world.profiles[1].pk}:in_1", template="payment_failed", profile=world.profiles[1],
        to="person-1@example.com", state="sent", created_at=now, sent_at=now,
    )  # fmt: skip
    chosen = f"{AGAIN}?emails={first.pk}&emails={late.pk}"
    page = text(client.get(chosen))
    assert "1 of 2 will be sent" in page
    assert "What it says is no longer true." in page
    data = {"_form_submitted": "on", "reason": REASON}
    said = text(client.post(chosen, data, follow=True))
    assert "1 email is sent again. 1 skipped: What it says is no longer true." in said
    assert [one.repeats_id for one in Notification.objects.filter(repeats__isnull=False)] == [first.pk]
    assert "No email is selected." in text(client.post(AGAIN, data))
    many = "&".join(f"emails={number}" for number in range(51))
    assert "At most 50" in text(client.get(f"{AGAIN}?{many}"))
    boxes = re.findall(r'name="emails" value="(\d+)"', text(client.get(LIST)))
    assert {int(one) for one in boxes} == {first.pk, late.pk} | set(first.repetitions.values_list("pk", flat=True))
    assert 'name="emails"' not in text(staff("viewer").get(LIST))
