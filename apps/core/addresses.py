"""The two spellings of an email address with an international domain: punycode, as stored and sent, and as people write it."""

import idna


def ascii_domain(domain: str) -> str:
    """The domain as the mail system writes it; as typed where it is none."""
    try:
        return domain.lower() if domain.isascii() else idna.encode(domain, uts46=True).decode()
    except UnicodeError:
        return domain


def ascii_email(address: str) -> str:
    """The address with its domain in punycode; addresses that are equal so are the same mailbox."""
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
