"""Why an email did not arrive, in plain words: what other mail servers, and Mailgun for them, say in codes of their own."""

import re

from apps.notifications.models import Notification

Delivery = Notification.Delivery
# The first that fits. Codes: RFC 3463, https://www.iana.org/assignments/smtp-enhanced-status-codes.
KNOWN = (
    (r"\b5\.1\.2\b|domain (?:name )?not found|no mx|nxdomain|unrouteable|host unknown", "The address's domain takes no email."),
    (r"\b[45]\.2\.2\b|mailbox (?:is )?full|over ?quota|quota exceeded", "The mailbox is full."),
    (r"\b5\.2\.1\b|disabled|inactive|deactivated|suspended account", "The mailbox is closed."),
    (
        r"\b5\.1\.(?:0|1|3|6|10)\b|no such user|user unknown|unknown user|does not exist|mailbox not found|mailbox unavailable"
        r"|no mailbox|recipient (?:address )?rejected|not a valid address",
        "There is no mailbox with this address.",
    ),
    (r"list of ours|suppress|previously bounced|unsubscribed", "Mailgun does not try: an earlier email came back, or was unwanted."),
    (r"\b[45]\.3\.4\b|\b5\.2\.3\b|too (?:large|big)|size limit", "The other mail server takes no email as large as this one."),
    (
        r"\b[45]\.7\.\d+\b|spam|blacklist|blocklist|blocked|dmarc|\bspf\b|dkim|reputation|policy",
        "The other mail server takes our emails for unwanted.",
    ),
    (r"greylist|grey-list|try again|temporar|\b4\.\d\.\d+\b|time[d]? ?out|connection|rate limit|too many", "The other mail server was busy or away."),
)  # fmt: skip
OTHERS = {
    Delivery.DELAYED: "The other mail server did not take it yet; Mailgun tries again.",
    Delivery.BOUNCED: "The other mail server did not take it.",
    Delivery.FAILED: "Mailgun did not send it on.",
    Delivery.COMPLAINED: "Its reader marked it as spam; Mailgun sends them no further ones.",
}

# Of Mailgun's answer when it is asked to send: its number and its words. The first that fits.
REFUSALS = (
    (r"^400 .*(?:not a valid address|parameter is not valid|parameter is missing)", "Mailgun does not take this for an address."),
    (r"^402\b|limit|quota|payment|billing", "Mailgun's account has reached its limit or is not paid. See its plan at Mailgun."),
    (r"^404\b|domain not found|unknown domain", "Mailgun does not know our domain. Check MAILGUN_DOMAIN and its region."),
    (r"^413\b|too large|size", "The email is too large for Mailgun."),
    (r"not allowed|disabled|inactive|unverified|not verified|activate|sandbox", "Mailgun does not send for our domain. Look at the domain's state there."),
    (r"^\d{3}\b", "Mailgun did not take the email, for a reason that we do not know."),
)  # fmt: skip


def explain(delivery: str, said: str) -> str:
    """What became of an email, for staff; empty for one that arrived, or of which nothing was told."""
    if delivery in {"", Delivery.DELIVERED}:
        return ""
    if delivery == Delivery.COMPLAINED:
        return OTHERS[Delivery.COMPLAINED]
    return next(
        (words for pattern, words in KNOWN if re.search(pattern, said, re.IGNORECASE)), OTHERS[Delivery(delivery)]
    )


def explain_refusal(error: str) -> str:
    """Why an email was not sent, for staff; what we have said ourselves stays as it is."""
    return next(
        (
            words
            for pattern, words in REFUSALS
            if re.match(r"\d{3}\b", error) and re.search(pattern, error, re.IGNORECASE)
        ),
        error,
    )
