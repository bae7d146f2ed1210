"""The law: where the operator's texts are, and which of a customer's rights are switched on. From the environment; settings import them.

A text is either an address of the operator's own site, or a Markdown file in LEGAL_FOLDER that we show on a page of ours.
"""

from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from config.environment import boolean, choice, integer, text

# The version of the terms a customer accepts at signup; kept with the signup.
TERMS_VERSION = text("TERMS_VERSION", "1")
# terms.md, privacy.md, imprint.md, withdrawal.md, accessibility.md; former terms as terms-VERSION.md.
LEGAL_FOLDER = text("LEGAL_FOLDER", "")
if LEGAL_FOLDER and not Path(LEGAL_FOLDER).is_dir():
    raise ImproperlyConfigured(f"LEGAL_FOLDER names {LEGAL_FOLDER}, which is no folder that we can read.")

# Days in which consumers may withdraw, in the European Union 14; 0: they may not.
WITHDRAWAL_DAYS = integer("WITHDRAWAL_DAYS", 14)
# What they get back: all of it, or without the days they had, if they asked us to begin at once.
WITHDRAWAL_REFUND = choice("WITHDRAWAL_REFUND", "full", ("full", "pro-rata"))
# Whether customers are asked at signup to agree that we begin before those days are over.
CONSENT_TO_BEGIN = boolean("CONSENT_TO_BEGIN", default=False)
# "Cancel a contract here" for people who are not logged in, as in § 312k of the German civil code.
CANCEL_WITHOUT_LOGIN = boolean("CANCEL_WITHOUT_LOGIN", default=True)

LEGAL_ADDRESSES = {
    "terms": text("TERMS_URL", ""),
    "privacy": text("PRIVACY_URL", ""),
    "imprint": text("IMPRINT_URL", ""),
    "withdrawal": text("WITHDRAWAL_URL", ""),
    "accessibility": text("ACCESSIBILITY_URL", ""),
}


def legal_links(site: str) -> dict[str, str]:
    """`terms_url` and the like for templates: the operator's address, else our page of the file, else empty."""
    return {f"{name}_url": address or _own_page(site, name) for name, address in LEGAL_ADDRESSES.items()}


def _own_page(site: str, name: str) -> str:
    is_there = LEGAL_FOLDER and (Path(LEGAL_FOLDER) / f"{name}.md").is_file()
    return f"{site}/legal/{name}/" if is_there else ""
