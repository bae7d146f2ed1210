"""Mails with a link that lets a person do something to their account, and what the link stands for.

The link carries a signed token that runs out on the sandbox's clock and can be used once.
"""

import html
from typing import Any

from apps.sandbox.keycloak import realm, tokens
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
KINDS = {
    "execute-actions": (
        "Update Your Account",
        "Your administrator has just requested that you update your {realm} account by performing the following "
        "action(s): {actions}. Click on the link below to start this process.",
        "If you are unaware that your administrator has requested this, just ignore this message and nothing will be "
        "changed.",
    ),
    "verify-email": (
        "Verify email",
        "Someone has created a {realm} account with this email address. If this was you, click the link below to "
        "verify your email address.",
        "If you didn't create this account, just ignore this message.",
    ),
    "reset-credentials": (
        "Reset password",
        "Someone just requested to change your {realm} account's credentials. If this was you, click on the link "
        "below to reset them.",
        "If you don't want to reset your credentials, just ignore this message and nothing will be changed.",
    ),
}


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
    subject, opening, closing = KINDS[kind]
    names = ", ".join(TITLES.get(action, action) for action in wanted)
    shown = realm.settings_of_realm()["displayName"]
    lines = [
        opening.format(realm=shown, actions=names),
        link,
        f"This link will expire within {in_words(lifespan)}.",
        closing,
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


def has_mail_server() -> bool:
    """Whether the realm's settings name a mail server and a sender."""
    smtp = realm.settings_of_realm()["smtpServer"]
    return bool(smtp.get("host") and smtp.get("from"))


def _as_html(line: str, title: str) -> str:
    text = html.escape(line)
    return f'<a href="{text}">{html.escape(title)}</a>' if line.startswith("http") else text


def in_words(seconds: int) -> str:
    """A span as Keycloak's mails write it: the largest unit it fills, rounded down."""
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= size:
            count = seconds // size
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{seconds} seconds"


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
