"""DJANGO_SECRET_KEY is exchanged while people log in and are logged in."""

from typing import Any

import pytest
from allauth.usersessions.models import UserSession

from apps.accounts.models import UserProfile
from apps.login import sessions
from apps.login.session_store import row_key
from tests.login.conftest import Person, local
from tests.security.keys import rotate

SECOND = "the second key, fifty characters or more, as keys are made"
THIRD = "the third key, which came soon after the second: somebody left"


@pytest.mark.parametrize("former", [True, False])
def test_who_is_logged_in_stays_so_and_keycloak_can_still_end_it(
    person: Person, nora: UserProfile, settings: Any, former: bool
) -> None:
    person.log_in("nora")
    (listed,) = UserSession.objects.values()
    rotate(settings, SECOND, former=former)
    assert person.here.get("/dashboard/").status_code == (200 if former else 302)
    if not former:
        return
    (still,) = UserSession.objects.values()
    assert still["session_key"] == row_key(person.here.session.session_key or "") != listed["session_key"]
    rotate(settings, THIRD)
    assert person.here.get("/dashboard/").status_code == 200
    (user,) = sessions.users_of_keycloak_session(still["data"]["sid"])
    assert sessions.end_sessions(user, sid=still["data"]["sid"]) == 1
    assert person.here.get("/dashboard/").status_code == 302


def test_a_login_under_way_is_finished(person: Person, nora: UserProfile, settings: Any) -> None:
    back = person.at_keycloak(person.to_keycloak(), "nora")
    rotate(settings, SECOND)
    person.here.get(local(back))
    assert person.user_id == str(nora.user_id)
