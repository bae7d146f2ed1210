"""How an email of the list is turned into subject, text and HTML.

An email `name` is templates/mail/<name>.subject.txt, .txt and .html; a test renders every one. Templates also get `brand`,
`base_url` and `links` (the pages of ours that mails point to).
"""

import re
from dataclasses import dataclass
from typing import Any, cast

from django.conf import settings
from django.template import Context, loader
from django.template.base import Template
from django.urls import reverse

from apps.core.brand import rights
from apps.notifications.email_list import EMAILS

VALUES = {name: one.values for name, one in EMAILS.items()}
PAGES = {  # name in templates: name of the route
    "signup": "onboarding-welcome",
    "recovery": "recovery",
    "dashboard": "dashboard",
    "moves": "own-moves",
    "data": "own-data",
    "people": "own-people",
    "cancel": "contract-cancel",
    "withdraw": "contract-withdraw",
}


@dataclass(frozen=True, kw_only=True)
class RenderedEmail:
    subject: str
    text: str
    html: str


def check_values(template: str, values: dict[str, Any]) -> None:
    """Raise ValueError when there is no such email, a value it needs is missing, or one it does not know is given."""
    if template not in VALUES:
        raise ValueError(f"There is no email named {template}.")
    known = {name.rstrip("?") for name in VALUES[template]}
    needed = {name for name in VALUES[template] if not name.endswith("?")}
    wrong = (needed - values.keys()) | (values.keys() - known)
    if wrong:
        raise ValueError(f"The email {template} misses or does not know: {', '.join(sorted(wrong))}.")


def render_email(template: str, values: dict[str, Any]) -> RenderedEmail:
    """Render an email. Subject and text are plain, so nothing in them is escaped; the HTML is."""
    links = {name: f"{settings.BASE_URL}{reverse(route)}" for name, route in PAGES.items()}
    links["login"] = f"{settings.BASE_URL}{settings.LOGIN_URL}"
    values = {"brand": settings.BRAND, "law": rights(), "base_url": settings.BASE_URL, "links": links} | values
    return RenderedEmail(
        subject=" ".join(_render(f"mail/{template}.subject.txt", values, escape=False).split()),
        text=_tidy(_render(f"mail/{template}.txt", values, escape=False)),
        html=_render(f"mail/{template}.html", values, escape=True),
    )


def _tidy(text: str) -> str:
    """Without the blank lines that template tags leave."""
    return re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in text.splitlines())).strip() + "\n"


def _render(name: str, values: dict[str, Any], *, escape: bool) -> str:
    found = cast("Template", loader.get_template(name).template)  # type: ignore[attr-defined]
    return str(found.render(Context(values, autoescape=escape)))
