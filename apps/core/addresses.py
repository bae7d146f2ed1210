"""Email addresses: which ones mail can reach, and the two spellings of an international domain: punycode, as stored and sent,
and as people write it.
"""

import re
from email.errors import MessageError
from email.headerregistry import Address

import idna

from apps.core.masking import Masked

LIMIT, LOCAL_LIMIT = 254, 64  # RFC 5321
LOCAL = re.compile(r"[\w!#$%&'*+/=?^`{|}~-]+(?:\.[\w!#$%&'*+/=?^`{|}~-]+)*", re.ASCII)
# At least two labels, and a last one that is no number: mail to a bare host or to [127.0.0.1] reaches nobody.
DOMAIN = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+(?:[a-z]{2,63}|xn--[a-z0-9-]{0,58}[a-z0-9])")


def can_be_mailed(address: str) -> bool:
    """Whether an address in its stored form is one that the mail library writes and a mail server takes."""
    local, _, domain = address.rpartition("@")
    if len(address) > LIMIT or len(local) > LOCAL_LIMIT or not (LOCAL.fullmatch(local) and DOMAIN.fullmatch(domain)):
        return False
    try:
        idna.decode(domain)
        return Address(addr_spec=address).addr_spec == address
    except (UnicodeError, MessageError, ValueError, IndexError):
        return False


def ascii_domain(domain: str) -> str:
    """The domain as the mail system writes it; as typed where it is none."""
    try:
        return domain.lower() if domain.isascii() else idna.encode(domain, uts46=True).decode()
    except UnicodeError:
        return domain


def ascii_email(address: str) -> str:
    """The address with its domain in punycode; addresses that are equal so are the same mailbox."""
    if isinstance(address, Masked):
        return address.change(ascii_email)
    local, at, domain = address.rpartition("@")
    return f"{local}{at}{ascii_domain(domain)}"


def shown_email(address: str) -> str:
    """A stored address as people write it: müller.de, not xn--mller-kva.de."""
    local, at, domain = address.rpartition("@")
    try:
        return f"{local}{at}{idna.decode(domain) if 'xn--' in domain.lower() else domain}"
    except UnicodeError:
        return address


def spellings(term: str) -> list[str]:
    """A search term, an address or a part of one, in every spelling that may be stored."""
    if term.isascii() and "xn--" not in term.lower():
        return [term]
    return list(dict.fromkeys([term, ascii_email(term), shown_email(term)]))
