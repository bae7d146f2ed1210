"""Takes the mails of a real Keycloak by SMTP and puts them into the sandbox's inbox, beside all others.

Only there when asked for (`--smtp-port`); the switch `mail_fails` refuses them, so that Keycloak answers 500.
"""

import email
import email.policy
import ssl
from email.message import EmailMessage

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from apps.sandbox.mailgun import inbox
from apps.sandbox.store import store


class MailHandler:
    """What aiosmtpd hands each mail to."""

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802  (aiosmtpd's name)
        """Put the mail into the inbox, or refuse it; the answer is SMTP's."""
        with store.lock:
            if _refused():
                return "554 5.3.0 the sandbox refuses mails now"
            inbox.deliver(_read_mail(envelope))
        return "250 OK"


def listen(host: str, port: int, certificate: str = "") -> None:
    """Take mails on `host`:`port`, in a thread, for as long as the process lives.

    With `certificate`, a folder with fullchain.pem and privkey.pem, as a mail provider does: only after STARTTLS and from who logs in.
    """
    if not certificate:
        Controller(MailHandler(), hostname=host, port=port).start()
        return
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(f"{certificate}/fullchain.pem", f"{certificate}/privkey.pem")
    Controller(
        MailHandler(), hostname=host, port=port, tls_context=tls, require_starttls=True, auth_required=True, authenticator=_log_in,
    ).start()  # fmt: skip


def _log_in(_server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, login: object) -> AuthResult:
    """Lets in anybody with a name and a password."""
    given = isinstance(login, LoginPassword) and bool(login.login and login.password)
    return AuthResult(success=given)


def _refused() -> bool:
    """Whether the switch `mail_fails` is on; it counts this mail. The caller holds the lock."""
    fault = store.data["faults"].get("keycloak")
    if fault is None or fault["mode"] != "mail_fails":
        return False
    fault["hit"] += 1
    if fault["times"] and fault["hit"] >= fault["times"]:
        del store.data["faults"]["keycloak"]
    return True


def _read_mail(envelope: Envelope) -> inbox.Mail:
    content = envelope.content if isinstance(envelope.content, bytes) else str(envelope.content).encode()
    message = email.message_from_bytes(content, policy=email.policy.default)
    return inbox.Mail(
        source="keycloak",
        sender=str(message["From"]),
        to=list(envelope.rcpt_tos),
        subject=str(message["Subject"]),
        text=_part(message, "plain"),
        html=_part(message, "html"),
    )


def _part(message: EmailMessage, kind: str) -> str:
    found = message.get_body((kind,))
    return str(found.get_content()).replace("\r\n", "\n").strip() if found is not None else ""
