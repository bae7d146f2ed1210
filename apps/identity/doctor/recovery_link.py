"""Whether Keycloak's pages lead those who cannot get in to our recovery page.

Keycloak's own sentence for a closed account is "contact your administrator", and somebody who asks it for a new password then waits for an email
that never comes. The realm's texts say it better. Of them the title alone may hold a link (26.7.3 shows messages as they are), so they point to
it. Whether a name exists, or is locked for a while, must not be told: the texts for all that are the same one.
https://www.keycloak.org/docs/latest/server_admin/#_overriding_text
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from apps.identity.doctor.expected import Expected, Row
from apps.identity.doctor.languages import languages_of
from apps.identity.doctor.report import Finding, listed, set_command
from apps.identity.doctor.rules import RULES

if TYPE_CHECKING:
    from apps.identity.doctor.reading import AdminSession, Snapshot

TITLE, CLOSED, EMAIL_SENT = "loginTitleHtml", "accountDisabledMessage", "emailSentMessage"
REFUSED = (
    "invalidUserMessage",
    "invalidPasswordMessage",
    "accountTemporarilyDisabledMessage",
    "accountPermanentlyDisabledMessage",
)
# The link, and what the texts say: of a closed account, of an email that was asked for, of a login that is refused.
WORDS = {
    "en": (
        "Cannot get in?",
        "Your account is paused or closed. Choose “{link}” above to see why, and to get it back.",
        "If your account is open, an email with a link is on its way. No email? Choose “{link}” above.",
        "The username or password is not right. Choose “{link}” above if you need help.",
    ),
    "de": (
        "Kein Zugang?",
        "Ihr Konto ist pausiert oder geschlossen. Wählen Sie oben „{link}“, um den Grund zu sehen und den Zugang wiederzubekommen.",
        "Wenn Ihr Konto offen ist, ist eine E-Mail mit einem Link unterwegs. Keine E-Mail? Wählen Sie oben „{link}“.",
        "Benutzername oder Passwort stimmt nicht. Wählen Sie oben „{link}“, wenn Sie Hilfe brauchen.",
    ),
}


def read_texts(session: "AdminSession", realm: Row | None) -> Mapping[str, Row] | None:
    """The realm's own texts in each language that it offers; None when the account may not see them."""
    if realm is None:
        return None
    found: dict[str, Row] = {}
    for language in languages_of(realm):
        path = f"admin/realms/{realm['realm']}/localization/{language}"
        answer = session.ask("list the realm's texts", lambda path=path: session.admin.connection.raw_get(path))  # type: ignore[misc]
        if answer is None or answer.status_code in (401, 403):
            return None
        found[language] = answer.json() if answer.status_code == 200 else {}
    return found


def check_recovery_link(snapshot: "Snapshot", expected: Expected) -> Iterator[Finding]:
    """In each language every page has the link, and who is not let in reads so, and nothing about a name."""
    if snapshot.texts is None:
        yield RULES["realm.recovery_link"].skip(fix=snapshot.not_visible)
        return
    url = expected.recovery_url
    wrong = sorted(language for language, texts in snapshot.texts.items() if not _leads(texts, url))
    commands = (set_command(f"localization/{one}", expected.realm, _texts(url, one), verb="create") for one in wrong)
    yield RULES["realm.recovery_link"].outcome(not wrong, languages=listed(wrong), url=url, commands=tuple(commands))


def _leads(texts: Row, url: str) -> bool:
    """Other words than ours are as good."""
    refused = {texts.get(name) for name in REFUSED}
    return (
        f'href="{url}"' in str(texts.get(TITLE))
        and all(texts.get(one) for one in (CLOSED, EMAIL_SENT))
        and len(refused) == 1
    )


def _texts(url: str, language: str) -> dict[str, str]:
    """English in languages that we do not speak."""
    link, *texts = WORDS.get(language, WORDS["en"])
    closed, email_sent, refused = (one.format(link=link) for one in texts)
    title = f'{{0}}<br><small><a href="{url}">{link}</a></small>'  # {0} is the realm's name
    return {TITLE: title, CLOSED: closed, EMAIL_SENT: email_sent} | dict.fromkeys(REFUSED, refused)
