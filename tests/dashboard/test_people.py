"""Who shares a subscription: the payer invites and removes, the member leaves, and nobody else sees or does anything."""

import pytest
from django.test import Client

from apps.accounts.models import Membership, UserProfile
from apps.catalog.models import Product
from apps.core.models import AuditEntry, Job
from apps.notifications.models import Notification
from tests.access.test_sharing import make_member
from tests.dashboard.conftest import Catalog, person, subscribe

pytestmark = pytest.mark.django_db
PAGE = "/dashboard/people/"


def browser(profile: UserProfile) -> Client:
    client = Client()
    client.force_login(profile.user)
    return client


@pytest.fixture
def pat(catalog: Catalog) -> UserProfile:
    """Pays for three."""
    Product.objects.filter(pk=catalog.plan.pk).update(people=3)
    payer = person("pat")
    subscribe(payer, catalog.plan)
    return payer


def test_a_plan_for_one_offers_no_invitation(catalog: Catalog, nora: UserProfile, client_of_nora: Client) -> None:
    page = client_of_nora.get(PAGE).content.decode()
    assert "for you alone" in page
    assert "Invite somebody" not in page
    answer = client_of_nora.post(PAGE + "invite/", {"email": "mia@example.com"})
    assert answer.status_code == 409
    assert not Membership.objects.exists()


def test_inviting_says_the_same_whether_or_not_an_address_is_known(pat: UserProfile) -> None:
    person("known")
    told = []
    for address in ("known@example.com", "new@example.com"):
        answer = browser(pat).post(PAGE + "invite/", {"email": address}, follow=True)
        told.append(answer.content.decode().replace(address, "ADDRESS").count("ADDRESS"))
        mail = Notification.objects.get(to=address)
        assert (mail.template, mail.profile, mail.context["payer"]) == ("people_invitation", None, "Pat")
        assert "invite_url" not in mail.context  # a right to act is never readable
    assert told[0] > 0
    assert Membership.objects.filter(payer=pat, ended_at=None).count() == 2
    assert browser(pat).post(PAGE + "invite/", {"email": "third@example.com"}).status_code == 409


@pytest.mark.parametrize(("typed", "told"), [("pat@example.com", "your own address"), ("nonsense", "email")])
def test_what_is_wrong_stays_beside_the_field(pat: UserProfile, typed: str, told: str) -> None:
    answer = browser(pat).post(PAGE + "invite/", {"email": typed})
    page = answer.content.decode()
    assert answer.status_code == 400
    assert told in page
    assert f'value="{typed}"' in page


def test_an_invitation_sent_again_ends_the_former_link_and_a_day_has_a_limit(pat: UserProfile) -> None:
    client = browser(pat)
    statuses = [client.post(PAGE + "invite/", {"email": "mia@example.com"}).status_code for _ in range(4)]
    assert statuses == [302, 302, 302, 429]
    assert Membership.objects.count() == 1


def test_the_payer_sees_and_removes_people_and_nobody_else_does(pat: UserProfile) -> None:
    mia = make_member(pat)
    row = Membership.objects.get(member=mia)
    page = browser(pat).get(PAGE).content.decode()
    assert "Mia" in page
    assert "2 of 3" in page
    for address in (PAGE, "/dashboard/", "/dashboard/invoices/"):
        assert f'<a href="{PAGE}"' in browser(pat).get(address).content.decode()
        assert f'<a href="{PAGE}"' not in browser(person(f"s{len(address)}")).get(address).content.decode()
    stranger = browser(person("sam"))
    assert "Mia" not in stranger.get(PAGE).content.decode()
    for client in (stranger, browser(mia)):
        client.post(PAGE + "end/", {"membership": row.pk})
    assert Client().post(PAGE + "end/", {"membership": row.pk}).status_code == 302
    row.refresh_from_db()
    assert row.is_open
    browser(pat).post(PAGE + "end/", {"membership": row.pk})
    row.refresh_from_db()
    assert (row.end, row.is_open) == ("removed", False)
    assert Job.objects.filter(key=str(mia.pk), state="queued").exists()
    told = AuditEntry.objects.filter(action="membership_ended").values_list("subject_id", "actor")
    assert set(told) == {(str(pat.pk), "customer"), (str(mia.pk), "customer")}


def test_a_member_reads_who_pays_and_can_leave(pat: UserProfile) -> None:
    mia = make_member(pat)
    client = browser(mia)
    assert "<bdi>Pat</bdi> pays for your apps" in client.get("/dashboard/").content.decode()
    page = client.get(PAGE).content.decode()
    assert "Leave this subscription" in page
    assert "Invite somebody" not in page
    client.post(PAGE + "leave/")
    assert Membership.objects.get(member=mia).end == "left"
    assert Notification.objects.get(template="people_left").to == pat.email
    client.post(PAGE + "leave/")
    assert Notification.objects.filter(template="people_left").count() == 1
