"""The operator's legal texts: which there are, which a public site needs, and their files as HTML.

The texts are Markdown files of the operator in `LEGAL_FOLDER`, read again when they change; HTML in them is shown, not obeyed.
"""

import datetime as dt
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from django.conf import settings
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from apps.core import languages

# Name in addresses and files: what the page is called where its file has no heading.
TITLES = {
    "terms": gettext_noop("Terms of service"),
    "privacy": gettext_noop("Privacy notice"),
    "imprint": gettext_noop("Imprint"),
    "withdrawal": gettext_noop("Right of withdrawal"),
    "accessibility": gettext_noop("Accessibility statement"),
}
# What nobody may take real money without: the variable that gives its address, and the file.
NEEDED = {"terms": "TERMS_URL", "privacy": "PRIVACY_URL", "imprint": "IMPRINT_URL"}
# The day on which a contract is made ends last at UTC+14: nobody loses anything of their days by where they live.
EASTERNMOST = dt.timedelta(hours=14)
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")


@dataclass(frozen=True)
class LegalText:
    """One text as a page shows it. `version`: of the terms; empty for the others."""

    title: str
    html: SafeString
    version: str = ""


def list_missing() -> list[str]:
    """The variables of the texts that a site with real payments needs and that are not there."""
    return [variable for name, variable in NEEDED.items() if not settings.BRAND[f"{name}_url"]]


def name_missing(variables: list[str]) -> str:
    """Those texts as a sentence names them: "terms of service or imprint"."""
    return " or ".join(TITLES[name].lower() for name, variable in NEEDED.items() if variable in variables)


def files_of(variables: list[str]) -> list[str]:
    """The files that would hold them."""
    return [f"{name}.md" for name, variable in NEEDED.items() if variable in variables]


def terms_url(version: str) -> str:
    """Where terms of that version can be read: on our own page if we have their file, else where the operator's are."""
    url = str(settings.BRAND["terms_url"])
    own = f"{settings.BASE_URL}/legal/terms/"
    return f"{own}{version}/" if url == own and _find_file("terms", version) else url


def last_day_to_withdraw(made_at: dt.datetime) -> dt.date | None:
    """The last day to withdraw from a contract made at this moment; None: nobody may."""
    days = dt.timedelta(days=settings.WITHDRAWAL_DAYS)
    return (made_at.astimezone(dt.UTC) + EASTERNMOST).date() + days if days else None


def read_text(name: str, version: str = "") -> LegalText | None:
    """The operator's text of that name, in the reader's language if there is one; `version`: earlier terms. None: there is none."""
    file = _find_file(name, version)
    if file is None:
        return None
    title, html = _render(file, file.stat().st_mtime_ns)
    shown = (version or settings.TERMS_VERSION) if name == "terms" else ""
    return LegalText(title or _(TITLES[name]), html, shown)


def _find_file(name: str, version: str) -> Path | None:
    if not settings.LEGAL_FOLDER or name not in TITLES or (version and not VERSION.fullmatch(version)):
        return None
    former = f"-{version}" if version and version != settings.TERMS_VERSION else ""
    language = languages.active()
    files = [Path(settings.LEGAL_FOLDER) / f"{name}{former}{end}" for end in (f".{language}.md", ".md")]
    return next((file for file in files if file.is_file()), None)


@lru_cache(maxsize=32)
def _render(file: Path, _changed: int) -> tuple[str, SafeString]:
    """Its first heading, which is the page's own, and the rest as HTML."""
    from markdown import Markdown  # a tenth of a second that most processes never need

    source = file.read_text(encoding="utf-8").strip()
    first, _, rest = source.partition("\n")
    title, body = (first[2:].strip(), rest) if first.startswith("# ") else ("", source)
    reader = Markdown(extensions=["tables"], output_format="html")
    reader.preprocessors.deregister("html_block")
    reader.inlinePatterns.deregister("html")
    return title, mark_safe(reader.convert(body))  # noqa: S308  (the operator's own text, and HTML in it is escaped)
