"""The roles of staff: what each may do, in words, which Keycloak group gives it, and who has it.

Promises: it is read from the rights that the groups have and from the actions that ask for them, so it says what is so now.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.core.exceptions import PermissionDenied
from django.db.models import F
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from apps.accounts.roles import ROLES
from apps.console import viewing
from apps.console.checks import action_names
from apps.console.site import takes_posts
from apps.core import masking
from apps.operations.approval_actions import Action
from apps.operations.approvals import ACTIONS

NONE = "none"  # in the address, instead of a role
RIGHT = "auth.view_group"
SUMMARIES = {
    "viewer": "Sees every page, with names, addresses and notes masked, and changes nothing.",
    "support": "Helps one subscriber at a time: syncs, emails, recovery, more grace.",
    "operator": "Decides about access, seats and money, and repairs what failed.",
    "admin": "Decides about what is sold, capacity, terms, and what the safeguard stopped.",
}


@dataclass(frozen=True)
class RoleCard:
    """`group`: the path of Keycloak's group that gives the role."""

    name: str
    group: str
    summary: str
    members: tuple[User, ...]


@dataclass(frozen=True)
class RightRow:
    """A right in words, the actions that ask for it, and whether each role has it. `asks`: what its holders approve."""

    name: str
    actions: tuple[str, ...]
    asks: tuple[str, ...]
    roles: tuple[bool, ...]


def may_view(request: HttpRequest) -> bool:
    return bool(request.user.has_perm(RIGHT))


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    if not may_view(request):
        raise PermissionDenied
    context = admin.site.each_context(request) | {
        "title": "Roles",
        "roles": list(ROLES),
        "cards": list_cards(),
        "rows": list(list_rights()),
        "fresh_minutes": settings.STAFF_FRESH_MINUTES,
        "alone": settings.TWO_PEOPLE_ABOVE,
        "viewable": viewing.OFFERED if viewing.may_begin(request) else (),
    }
    request.current_app = admin.site.name
    return render(request, "console/roles.html", context)


def list_cards() -> list[RoleCard]:
    """Each role, and its members, who came in last first. They are named to all staff: they answer for what they do."""
    members: dict[str, list[User]] = defaultdict(list)
    staff = User.objects.filter(is_staff=True, is_active=True, groups__name__in=ROLES).annotate(role=F("groups__name"))
    with masking.unmasked():
        for user in staff.order_by("-last_login", "username"):
            members[user.role].append(user)
    path = settings.KEYCLOAK_STAFF_GROUP
    return [RoleCard(role, f"{path}/{role}", SUMMARIES[role], tuple(members[role])) for role in ROLES]


def list_rights() -> Iterator[RightRow]:
    """What one role has and another has not, from the least role upwards."""
    held = _rights_by_role()
    actions = _actions_by_right()
    asks: dict[str, list[str]] = defaultdict(list)
    for action, approvable in ACTIONS.items():
        asks[f"accounts.{approvable.permission}"].append(Action(action).label)
    everybody = set.intersection(*(set(one) for one in held.values()))
    names = {right: name for one in held.values() for right, name in one.items() if right not in everybody}
    order = sorted(names, key=lambda right: (-sum(right in one for one in held.values()), right))
    for right in order:
        roles = tuple(right in one for one in held.values())
        name = names[right].removeprefix("Can ")
        yield RightRow(name[:1].upper() + name[1:], tuple(sorted(actions[right])), tuple(asks[right]), roles)


def _rights_by_role() -> dict[str, dict[str, str]]:
    """The rights that each role's group has in the database, with their words; one query."""
    found: dict[str, dict[str, str]] = {role: {} for role in ROLES}
    rows = Permission.objects.filter(group__name__in=ROLES)
    for role, app, codename, name in rows.values_list("group__name", "content_type__app_label", "codename", "name"):
        found[role][f"{app}.{codename}"] = name
    return found


def _actions_by_right() -> dict[str, set[str]]:
    """The titles of the actions that ask for each right, with a star where one asks for a fresh login."""
    found: dict[str, set[str]] = defaultdict(set)
    for console_page in admin.site._registry.values():
        for name in action_names(console_page):  # type: ignore[arg-type]
            method: Any = getattr(console_page, name)
            star = "*" if method.__wrapped__.fresh else ""
            for codename in method.allowed_permissions:
                found[f"accounts.{codename}"].add(f"{method.short_description}{star}")
    return found


@viewing.allow_while_viewing
@takes_posts
def view_as(request: HttpRequest, role: str) -> HttpResponse:
    """Begin to look at the console as a role; one's own again by `none`."""
    if role != NONE and not viewing.may_begin(request):
        raise PermissionDenied
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    if role == NONE:
        viewing.end(request)
        return HttpResponseRedirect(reverse("admin:roles"))
    if role not in viewing.OFFERED:
        raise Http404
    viewing.begin(request, role)
    return HttpResponseRedirect(reverse("admin:index"))


ROUTES: tuple[tuple[str, Callable[..., HttpResponse], str], ...] = (
    ("roles/", page, "roles"),
    ("roles/<role>/view/", view_as, "roles_view"),
)
