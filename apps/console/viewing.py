"""View as a role: an admin reads the console as a viewer, support or an operator sees it.

Promises: meanwhile their rights are those that they and the role have, never more than their own; nothing can be changed but by
ending it; every page says so; it ends by itself after VIEWING_SECONDS and with the session, and the audit log has its beginning.
"""

import time
from collections.abc import Callable

from django.contrib import messages
from django.contrib.auth.models import Permission
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from apps.accounts.roles import ADMIN, ROLES
from apps.console.fresh_logins import done
from apps.core import audit
from apps.core.audit_actions import AuditAction

VIEWING, VIEWING_SECONDS = "console_viewing_as", 3600
OFFERED = tuple(role for role in ROLES if role != ADMIN)
READ_ONLY = "You only view the console as {}. Nothing was changed. Stop viewing first."


def role_viewed(request: HttpRequest) -> str:
    """As which role the person looks at the console; empty: as themselves."""
    kept = request.session.get(VIEWING) or {}
    return str(kept["role"]) if kept.get("role") in OFFERED and time.time() < kept.get("until", 0) else ""


def may_begin(request: HttpRequest) -> bool:
    """Whether they are an admin, whatever they look at the console as."""
    return bool(request.user.groups.filter(name=ADMIN).exists())


def begin(request: HttpRequest, role: str) -> None:
    """From the next request on."""
    request.session[VIEWING] = {"role": role, "until": time.time() + VIEWING_SECONDS}
    audit.record(
        subject=("user", request.user.pk or 0), action=AuditAction.VIEWED_AS_ROLE, after={"role": role},
        actor=f"staff:{request.user.get_username()}",
    )  # fmt: skip


def end(request: HttpRequest) -> None:
    """Back to one's own rights."""
    request.session.pop(VIEWING, None)


def narrow_rights(request: HttpRequest) -> None:
    """For this request: only the rights that the role has too."""
    role, user = role_viewed(request), request.user
    if role and user.is_authenticated:
        rows = Permission.objects.filter(group__name=role).values_list("content_type__app_label", "codename")
        theirs = {f"{app}.{codename}" for app, codename in rows}
        user._perm_cache = user.get_all_permissions() & theirs  # type: ignore[attr-defined]  # where Django keeps them


def allow_while_viewing[V: Callable[..., HttpResponse]](view: V) -> V:
    """Mark what can be posted nevertheless: the ways out."""
    view.allowed_while_viewing = True  # type: ignore[attr-defined]
    return view


def refuse_change(request: HttpRequest, view: object) -> HttpResponse | None:
    """What is answered to a POST meanwhile."""
    role = role_viewed(request)
    if not role or hasattr(view, "allowed_while_viewing"):
        return None
    messages.error(request, READ_ONLY.format(role))
    return done(request, reverse("admin:index"))
