"""Staff by Keycloak group: gained, changed and lost at login; never more than the role says."""

from itertools import pairwise
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User

from apps.accounts import roles, staff
from apps.accounts.models import UserProfile
from apps.core.models import AuditEntry
from tests.login.conftest import Person
from tests.sandbox.keycloak_fixture import Standin


def user_named(name: str) -> User:
    return User.objects.get(username=name)


def test_an_unknown_subject_with_a_role_becomes_staff_without_a_profile(person: Person) -> None:
    answer = person.log_in("admin.ada")
    assert answer.status_code == 302
    ada = user_named("admin.ada")
    assert (ada.is_staff, ada.is_superuser, ada.has_usable_password()) == (True, False, False)
    assert [group.name for group in ada.groups.all()] == ["admin"]
    assert not UserProfile.objects.exists()
    assert person.user_id == str(ada.pk)


def test_a_group_whose_name_looks_like_the_path_of_staff_makes_nobody_staff(person: Person, keycloak: Standin) -> None:
    """Seen on 26.7.3: a group may be called `staff/admin`, and the token says its path. Our own account may rename its group."""
    dan = keycloak.new_user("dan", groups=["/frontdesk"])
    keycloak.set_password(dan)
    ours = keycloak.call("GET", "/group-by-path/frontdesk").json()["id"]
    renamed = keycloak.call("PUT", f"/groups/{ours}", json={"name": "staff/admin"}, client="frontdesk-sync")
    assert renamed.status_code == 204
    assert person.log_in("dan")["Location"] == "/onboarding/account/"  # as everybody with an account and no plan
    assert not User.objects.exists()
    person = Person(keycloak)
    assert person.log_in("admin.ada").status_code == 302
    assert user_named("admin.ada").is_staff


def test_staff_whom_keycloak_cannot_confirm_come_back_later(person: Person, keycloak: Standin) -> None:
    keycloak.fault("http_503", path="/users/")
    assert person.log_in("admin.ada").status_code == 503
    assert not User.objects.exists()
    keycloak.fault("ok")
    assert Person(keycloak).log_in("admin.ada").status_code == 302


def test_a_second_login_finds_the_same_member_of_staff(person: Person, keycloak: Standin) -> None:
    person.log_in("support.sam")
    Person(keycloak).log_in("support.sam")
    assert User.objects.count() == 1


def test_roles_follow_keycloak_at_each_login(person: Person, keycloak: Standin, settings: Any) -> None:
    person.log_in("support.sam")
    sam = user_named("support.sam")
    staff.refresh(sam, said={}, roles=frozenset({"viewer", "operator"}))
    assert sorted(group.name for group in sam.groups.all()) == ["operator", "viewer"]
    Person(keycloak).log_in("support.sam")
    assert [group.name for group in sam.groups.all()] == ["support"]


def test_a_role_taken_away_is_gone_at_the_next_login(person: Person, keycloak: Standin, settings: Any) -> None:
    person.log_in("support.sam")
    settings.KEYCLOAK_STAFF_GROUP = "/elsewhere"
    again = Person(keycloak)
    assert again.log_in("support.sam").status_code == 403
    sam = user_named("support.sam")
    assert (sam.is_staff, sam.groups.count()) == (False, 0)
    assert again.user_id is None
    assert person.here.get("/admin/").status_code in {302, 403}


def test_every_change_of_roles_is_in_the_audit(person: Person) -> None:
    person.log_in("admin.ada")
    entry = AuditEntry.objects.get(action="staff_roles_changed")
    assert (entry.before, entry.after) == ({"roles": []}, {"roles": ["admin"]})


def test_a_subscriber_may_be_staff_too(person: Person, nora: UserProfile) -> None:
    person.log_in("nora")
    nora.user.refresh_from_db()
    assert not nora.user.is_staff
    staff.refresh(nora.user, said={}, roles=frozenset({"viewer"}))
    nora.user.refresh_from_db()
    assert nora.user.is_staff
    assert nora.user.profile == nora


def test_a_username_somebody_has_is_not_taken_over(person: Person) -> None:
    mine = User.objects.create(username="Admin.Ada")
    person.log_in("admin.ada")
    made = User.objects.exclude(pk=mine.pk).get()
    assert made.username.startswith("admin.ada-")
    assert not mine.groups.exists()


def test_groups_that_are_no_roles_are_left_alone(db: None) -> None:
    user = User.objects.create(username="sam")
    user.groups.add(Group.objects.create(name="nextcloud-1"))
    staff.refresh(user, said={}, roles=frozenset({"viewer"}))
    staff.refresh(user, said={}, roles=frozenset())
    assert [group.name for group in user.groups.all()] == ["nextcloud-1"]


@pytest.mark.parametrize(
    "groups",
    [
        None,
        "/staff/admin",
        [],
        ["admin"],
        ["/staff"],
        ["/staff/"],
        ["/staff/root"],
        ["/Staff/admin"],
        ["/staff/admin/"],
        ["/staff/admin/x"],
        ["/frontdesk/staff/admin"],
        ["/x/staff/admin"],
        ["//staff/admin"],
        {"/staff/admin": 1},
        [["/staff/admin"]],
        [{"/staff/admin": 1}],
        [None, 5],
    ],
)
def test_nothing_but_the_exact_group_is_a_role(groups: Any) -> None:
    assert staff.roles_of({"groups": groups}) == frozenset()


def test_each_role_may_what_the_one_before_may(db: None) -> None:
    roles.sync_staff_permissions()
    may = [set(Group.objects.get(name=name).permissions.values_list("pk", flat=True)) for name in roles.ROLES]
    assert list(roles.ROLES) == ["viewer", "support", "operator", "admin"]
    for less, more in pairwise(may):
        assert less < more


def test_a_viewer_may_look_and_nothing_else(db: None) -> None:
    roles.sync_staff_permissions()
    names = Group.objects.get(name="viewer").permissions.values_list("codename", flat=True)
    assert "view_userprofile" in names
    assert "view_subscription" in names
    assert all(name.startswith("view_") for name in names)
    assert not set(roles.NEVER_SHOWN) & set(names)


def test_nobody_may_delete_and_rights_are_mended_when_they_have_drifted(db: None) -> None:
    roles.sync_staff_permissions()
    admin = Group.objects.get(name="admin")
    assert not admin.permissions.filter(codename__startswith="delete_").exists()
    before = set(admin.permissions.values_list("pk", flat=True))
    admin.permissions.set(Permission.objects.filter(codename="delete_user"))
    roles.sync_staff_permissions()
    assert set(admin.permissions.values_list("pk", flat=True)) == before
