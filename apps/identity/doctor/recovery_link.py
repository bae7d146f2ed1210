"""Whether Keycloak's pages lead those who cannot get in to our recovery page.

Keycloak's own sentence for a closed account is "contact your administrator", and somebody who asks it for a new password then waits for an email
that never comes. The realm's texts say it better. Of them the title alone may hold a link (26.7.3 shows messages as they are), so they point to
it. Whether a name exists, or is locked for a while, must not be told: the texts for all that are the same one.
https://www.keycloak.org/docs/latest/server_admin/#_overriding_text
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from apps.identity.doctor.expected import Expected, Row
from apps.identity.doctor.report import Finding, listed, set_command
from apps.identity.doctor.rules import RULES

if TYPE_CHECKING:
    from apps.identity.doctor.reading import AdminSession, Snapshot

LINK = "Cannot get in?"
TITLE, CLOSED, EMAIL_SENT = "loginTitleHtml", "accountDisabledMessage", "emailSentMessage"
REFUSED = (
    "invalidUserMessage",
    "invalidPasswordMessage",
    "accountTemporarilyDisabledMessage",
    "accountPermanentlyDisabledMessage",
)
DEFAULT_LANGUAGE = "en"


def read_texts(session: "AdminSession", realm: Row | None) -> Mapping[str, Row] | None:
    """The realm's own texts in each language that it offers; None when the account may not see them."""
    if realm is None:
        return None
    found: dict[str, Row] = {}
    for language in _languages(realm):
        path = f"admin/realms/{realm['realm']}/localization/{language}"
        answer = session.ask("list the realm's texts", lambda path=path: session.admin.connection.raw_get(path))  # type: ignore[misc]
        if answer is None or answer.status_code in (401, 403):
            return None
        found[language] = answer.json() if answer.status_code == 200 else {}
    return found


def _languages(realm: Row) -> list[str]:
    if not realm.get("internationalizationEnabled"):
        return [DEFAULT_LANGUAGE]
    return sorted(realm.get("supportedLocales") or [DEFAULT_LANGUAGE])


def check_recovery_link(snapshot: "Snapshot", expected: Expected) -> Iterator[Finding]:
    """In each language every page has the link, and who is not let in reads so, and nothing about a name."""
    if snapshot.texts is None:
        yield RULES["realm.recovery_link"].skip(fix=snapshot.not_visible)
        return
    url = expected.recovery_url
    wrong = sorted(language for language, texts in snapshot.texts.items() if not _leads(texts, url))
    commands = (set_command(f"localization/{one}", expected.realm, _texts(url), verb="create") for one in wrong)
    yield RULES["realm.recovery_link"].outcome(not wrong, languages=listed(wrong), url=url, commands=tuple(commands))


def _leads(texts: Row, url: str) -> bool:
    """Other words than ours are as good."""
    refused = {texts.get(name) for name in REFUSED}
    return (
        f'href="{url}"' in str(texts.get(TITLE))
        and all(texts.get(one) for one in (CLOSED, EMAIL_SENT))
        and len(refused) == 1
    )


def _texts(url: str) -> dict[str, str]:
    above = f"Choose “{LINK}” above"
    return {
        TITLE: f'{{0}}<br><small><a href="{url}">{LINK}</a></small>',  # {0} is the realm's name
        CLOSED: f"Your account is paused or closed. {above} to see why, and to get it back.",
        EMAIL_SENT: f"If your account is open, an email with a link is on its way. No email? {above}.",
    } | dict.fromkeys(REFUSED, f"The username or password is not right. {above} if you need help.")
