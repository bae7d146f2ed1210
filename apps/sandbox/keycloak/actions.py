"""Mails with a link that lets a person do something to their account, and what the link stands for.

The link carries a signed token that runs out on the sandbox's clock and can be used once.
"""

import html
from collections.abc import Iterable, Mapping
from typing import Any

from apps.sandbox.keycloak import realm, tokens, words
from apps.sandbox.mailgun import inbox

Row = dict[str, Any]

TITLES = {
    "UPDATE_PASSWORD": "Update Password",
    "VERIFY_EMAIL": "Verify Email",
    "UPDATE_PROFILE": "Update Profile",
    "CONFIGURE_TOTP": "Configure OTP",
    "VERIFY_PROFILE": "Verify Profile",
    "TERMS_AND_CONDITIONS": "Terms and Conditions",
    "UPDATE_EMAIL": "Update Email",
}
# The messages of each kind of email: by these names the subject, with Body what it begins with, with End how it ends.
KINDS = {"execute-actions": "executeActions", "verify-email": "verifyEmail", "reset-credentials": "resetCredentials"}


def mail(
    user: Row, *, kind: str, wanted: list[str], lifespan: int, client_id: str = "account", redirect_uri: str = ""
) -> None:
    """Send `user` a link of one of the KINDS to do the `wanted` required actions, good for `lifespan` seconds."""
    key = tokens.seal(
        tokens.basics(
            typ=kind,
            lifespan=lifespan,
            aud=realm.url(),
            sub=user["id"],
            eml=user["email"],
            azp=client_id,
            rqac=wanted,
            reduri=redirect_uri,
        )
    )
    link = f"{realm.url()}/login-actions/action-token?key={key}"
    texts, name = words.texts(words.of_person(user)), KINDS[kind]
    subject = texts[name]
    names = names_of(wanted, texts)
    shown = realm.settings_of_realm()["displayName"]
    lines = [
        texts[f"{name}Body"].format(realm=shown, actions=names),
        link,
        texts["linkExpires"].format(span=in_words(lifespan, texts)),
        texts[f"{name}End"],
    ]
    smtp = realm.settings_of_realm()["smtpServer"]
    inbox.deliver(
        inbox.Mail(
            source="keycloak",
            sender=f"{smtp.get('fromDisplayName', '')} <{smtp['from']}>",
            to=[user["email"]],
            subject=subject,
            text="\n\n".join(lines),
            html="".join(f"<p>{_as_html(line, subject)}</p>" for line in lines),
        )
    )


def names_of(wanted: Iterable[str], texts: Mapping[str, str]) -> str:
    """What has to be done, in words."""
    return ", ".join(texts.get(action) or TITLES.get(action, action) for action in wanted)


def has_mail_server() -> bool:
    """Whether the realm's settings name a mail server and a sender."""
    smtp = realm.settings_of_realm()["smtpServer"]
    return bool(smtp.get("host") and smtp.get("from"))


def _as_html(line: str, title: str) -> str:
    text = html.escape(line)
    return f'<a href="{text}">{html.escape(title)}</a>' if line.startswith("http") else text


def in_words(seconds: int, texts: Mapping[str, str]) -> str:
    """A span as Keycloak's emails write it: the largest unit it fills, rounded down."""
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= size:
            count = seconds // size
            name = unit if count == 1 else f"{unit}s"
            return f"{count} {texts.get(name, name)}"
    return f"{seconds} {texts.get('seconds', 'seconds')}"


def read(key: str) -> Row | None:
    """The claims of a link's token while it may be used; None once it ran out, was used, or the person changed."""
    said = tokens.unseal(key)
    if said is None or said.get("typ") not in KINDS or not tokens.live(said):
        return None
    user = realm.state()["users"].get(said["sub"])
    if user is None or not user["enabled"] or user["email"] != said["eml"]:
        return None
    return said


def proven(user: Row) -> None:
    """Note that the person reads the mailbox: following a link sent to it proves that."""
    user["emailVerified"] = True
    user["requiredActions"] = [a for a in user["requiredActions"] if a != "VERIFY_EMAIL"]
