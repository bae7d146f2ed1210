"""The console's pages of privacy: the copy, the preview before erasing, the receipt, and the list by the day that is due."""

import datetime as dt
import json
from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from apps.accounts import legal_holds
from apps.accounts.models import UserProfile
from apps.core import clock
from apps.core.errors import BadInput
from apps.core.models import AuditEntry
from apps.operations import approvals, privacy_requests
from apps.operations.models import ApprovalRequest
from tests.console.conftest import World, log_in_freshly
from tests.console.desk import page_of
from tests.console.test_actions import leaving

pytestmark = pytest.mark.django_db

Staff = Callable[..., Client]
WHY = {"reason": "They asked for it by letter."}
BY = {"actor": "staff:bob", "reason": "asked by letter"}


def data_of(profile: UserProfile) -> str:
    return reverse("admin:accounts_userprofile_personal_data", args=[profile.pk])


def test_the_copy_is_a_file_or_a_page_and_in_the_audit_log(world: World, staff: Staff) -> None:
    profile, client = world.profiles[0], staff("operator")
    assert "Export personal data" in client.get(data_of(profile)).content.decode()
    answer = client.post(data_of(profile), WHY | {"format": "json"})
    assert "attachment" in answer["Content-Disposition"]
    assert json.loads(answer.content)["auth.User"][0]["username"] == "person-0"
    page = client.post(data_of(profile), WHY | {"format": "page"}).content.decode()
    for part in ("Copy of your personal data", "person-0@example.com", "article 15", "a friend of the house"):
        assert part in page, part
    assert "person-1" not in page  # whom she has invited
    lines = AuditEntry.objects.filter(action="person_exported", subject_id=str(profile.pk)).order_by("id")
    assert [(one.actor, one.reason, one.after["format"]) for one in lines] == [
        ("staff:operator-ada", WHY["reason"], "json"), ("staff:operator-ada", WHY["reason"], "page"),
    ]  # fmt: skip


def test_nobody_gets_a_copy_without_the_right_a_reason_and_a_fresh_login(world: World, staff: Staff) -> None:
    profile = world.profiles[0]
    support = staff("support")
    assert (support.get(data_of(profile)).status_code, support.post(data_of(profile), WHY).status_code) == (403, 403)
    assert data_of(profile) not in page_of(support, profile)
    client = staff("operator")
    assert data_of(profile) in page_of(client, profile)
    for wrong in ({"format": "json", "reason": "short"}, WHY | {"format": "xml"}, WHY):
        assert "Content-Disposition" not in client.post(data_of(profile), wrong)
    log_in_freshly(client, minutes=60)
    assert client.post(data_of(profile), WHY | {"format": "json"}).status_code == 302
    assert not AuditEntry.objects.filter(action="person_exported").exists()


def test_the_dialog_says_what_goes_what_stays_or_why_nothing_may_go(world: World, staff: Staff) -> None:
    client, address = staff("admin"), reverse("admin:accounts_userprofile_erase", args=[world.profiles[0].pk])
    assert "A subscription is running" in client.get(address).content.decode()
    filled = {"_form_submitted": "on", "confirmation": "person-0", **WHY}
    assert "A subscription is running" in client.post(address, filled).content.decode()
    profile = leaving(world)
    hold = legal_holds.place(profile, **BY)
    assert "legal hold" in client.post(address, filled).content.decode()
    legal_holds.end(hold, **BY)
    text = client.get(address).content.decode()
    for part in ("emails (1)", "signups (1)", "as long as tax law wants them", "At Mailgun".lower()):
        assert part in text.lower(), part
    assert "Nobody can be erased" not in text
    assert UserProfile.objects.get(pk=profile.pk).email == "person-0@example.com"


def test_after_erasing_the_page_shows_how_far_it_is_and_the_receipt_names_nobody(world: World, staff: Staff) -> None:
    profile, client = leaving(world), staff("admin")
    receipt = reverse("admin:accounts_userprofile_receipt", args=[profile.pk])
    assert "has not been erased" in client.get(receipt).content.decode()
    address = reverse("admin:accounts_userprofile_erase", args=[profile.pk])
    client.post(address, {"_form_submitted": "on", "confirmation": "person-0", **WHY})
    text = page_of(client, profile)
    assert "Personal data erased" in text
    assert "In progress" in text
    assert "Erase personal data" not in text
    printed = staff("viewer").get(receipt).content.decode()
    assert "Not complete yet" in printed
    assert "person-0" not in printed
    assert "In progress" in client.get(f"{receipt}?part=1").content.decode()


def test_the_list_begins_with_what_is_due_first(world: World, staff: Staff) -> None:
    today = clock.now().date()
    ages = ((0, 0), (1, 28), (2, 40))
    for index, days in ages:
        privacy_requests.receive(
            world.profiles[index], kind="erasure", received_on=today - dt.timedelta(days=days), **BY
        )
    legal_holds.place(world.profiles[1], **BY)
    client, address = staff("viewer"), reverse("admin:accounts_privacyrequest_changelist")
    people = {
        view: [row.profile.user.username for row in client.get(address, {"view": view}).context["cl"].result_list]
        for view in ("open", "due", "held", "done")
    }
    assert people["open"] == ["person-2", "person-1", "person-0"]
    assert (people["due"], people["held"], len(people["done"])) == (["person-2", "person-1"], ["person-1"], 3)
    text = client.get(address, {"view": "due"}).content.decode()
    assert ", late</span>" in text
    assert "days left</span>" in text
    assert "Legal hold</span>" in text


def test_where_there_is_another_admin_they_have_to_approve_it(world: World, staff: Staff) -> None:
    profile, client = leaving(world), staff("admin")
    other = User.objects.create(username="admin-bob", is_staff=True)
    other.groups.set([Group.objects.get(name="admin")])
    address = reverse("admin:accounts_userprofile_erase", args=[profile.pk])
    assert "Another admin has to approve this" in client.get(address).content.decode()
    client.post(address, {"_form_submitted": "on", "confirmation": "person-0", **WHY})
    assert UserProfile.objects.get(pk=profile.pk).email == "person-0@example.com"
    asked = ApprovalRequest.objects.get(action="erase_person")
    with pytest.raises(BadInput, match="Another person"):
        approvals.approve(asked, by=User.objects.get(username="admin-ada"), reason="it is right")
    assert "is erased here" in approvals.approve(asked, by=other, reason="it is right")
    assert UserProfile.objects.get(pk=profile.pk).email == f"erased-{profile.pk}@erased.invalid"
    asked.refresh_from_db()
    assert (asked.state, asked.decided_by) == ("approved", "staff:admin-bob")
    line = AuditEntry.objects.get(action="person_erased")
    assert line.actor == "staff:admin-ada"
    assert "admin-bob" in str(line.after)
