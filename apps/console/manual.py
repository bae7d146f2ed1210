"""The operator's manual: Markdown files in templates/manual/, filled in with the values of this installation, and a search over them.

Promises: a chapter says what is so here (addresses, events, rights, retention), since it takes them from where the code has them;
HTML in a text is shown, not obeyed; a page of the manual reads nothing from the database.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from html import unescape
from itertools import chain
from pathlib import Path

from django.conf import settings
from django.http import HttpRequest
from django.template import Context, Engine
from django.urls import reverse
from django.utils.html import escape, strip_tags
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import slugify

from apps.console.manual_values import read_values

FOLDER = Path(settings.BASE_DIR) / "templates/manual"
# The chapters in the order of the contents, by the question they answer.
PARTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Going live", ("go-live", "stripe", "keycloak", "email", "proxy", "systemd", "live-keys")),
    ("Every day", ("daily-work", "customers", "capacity", "webhooks", "privacy")),
    ("Keeping it running", ("monitoring", "runbooks", "backup", "upgrade", "hosts")),
    ("To look up", ("customer-api", "commands", "emails", "retention", "records", "glossary")),
)
NAMES = tuple(chain.from_iterable(names for _, names in PARTS))
# What is about a page of the console: the beginning of its route's name, the chapter, and the heading if it is about one.
ABOUT = (
    ("capacity", "capacity", ""), ("instances_webhookdelivery", "webhooks", "log"), ("instances_seatplan", "capacity", "empty-a-server"), ("instances_", "capacity", ""),
    ("operations_seatplan", "capacity", "empty-a-server"), ("operations_seatmove", "capacity", "empty-a-server"),
    ("onboarding_waitlistentry", "capacity", "the-waitlist"), ("waitlist", "capacity", "the-waitlist"),
    ("accounts_privacyrequest", "privacy", ""), ("accounts_legalhold", "privacy", "legal-holds"), ("accounts_membership", "customers", "people"), ("accounts_", "customers", ""),
    ("access_accessoverride", "customers", "overrides"), ("access_termschange", "daily-work", "change-the-terms"),
    ("operations_termspreview", "daily-work", "change-the-terms"), ("access_accessfreeze", "daily-work", "incident-mode"),
    ("access_heldbackloss", "daily-work", "incident-mode"), ("operations_safeguardreview", "daily-work", "the-safeguard"),
    ("operations_approvalrequest", "daily-work", "two-people"), ("operations_syncrun", "daily-work", "sync"),
    ("operations_customerimport", "customers", "import"), ("operations_importrow", "customers", "import"),
    ("operations_customerapikey", "customer-api", ""), ("operations_drift", "daily-work", "sync"), ("report", "daily-work", "reports"), ("roles", "daily-work", "roles"), ("auth_", "daily-work", "roles"),
    ("inbox", "runbooks", ""), ("core_attentionitem", "runbooks", ""), ("core_job", "runbooks", "jobs"), ("schedules", "runbooks", "no-worker"),
    ("core_lawcheck", "monitoring", "laws"), ("core_outage", "monitoring", "outages"), ("core_comparisonrun", "monitoring", "comparisons"),
    ("core_auditentry", "monitoring", "the-audit-trail"), ("core_restorecheck", "backup", "after-a-restore"), ("realm", "go-live", "the-doctor"),
    ("notifications_", "email", ""), ("email_previews", "emails", ""), ("billing_inboundevent", "stripe", "events"),
    ("catalog_", "stripe", "products-and-prices"), ("djstripe_", "stripe", ""),
)  # fmt: skip
MOST_FOUND, MOST_WORDS, SHOWN = 20, 8, 180
HEADING = re.compile(r'<h2 id="([^"]+)">(.*?)</h2>', re.DOTALL)


@dataclass(frozen=True)
class Section:
    """What stands below one heading of the second level. `text`: without marks, to be searched."""

    anchor: str
    title: str
    text: str


@dataclass(frozen=True)
class Chapter:
    """One file as a page shows it."""

    name: str
    title: str
    summary: str
    html: SafeString
    sections: tuple[Section, ...]

    @property
    def url(self) -> str:
        return reverse("admin:manual_chapter", args=[self.name])

    @property
    def headings(self) -> list[Section]:
        return [one for one in self.sections if one.anchor]


@dataclass(frozen=True)
class Hit:
    """A section that has all the words; `excerpt` marks the first of them."""

    chapter: Chapter
    section: Section
    excerpt: SafeString

    @property
    def url(self) -> str:
        return f"{self.chapter.url}#{self.section.anchor}" if self.section.anchor else self.chapter.url


@lru_cache(maxsize=len(NAMES))
def read_chapter(name: str) -> Chapter:
    """The chapter of that name, one of NAMES; made once in each process."""
    from markdown import Markdown  # a tenth of a second that most processes never need

    head, _, rest = fill_in(name).partition("\n")
    summary, _, body = rest.strip().partition("\n\n")
    reader = Markdown(extensions=["tables", "fenced_code", "toc", "attr_list"], output_format="html")
    reader.preprocessors.deregister("html_block")
    reader.inlinePatterns.deregister("html")
    html = (
        reader.convert(body)
        .replace("<table>", '<div class="fd-scroll"><table class="fd-table">')
        .replace("</table>", "</table></div>")
    )
    page = mark_safe(html.replace("<pre>", '<pre tabindex="0">'))  # noqa: S308  (our own text, and HTML in it is escaped)
    return Chapter(name, head.removeprefix("# ").strip(), " ".join(summary.split()), page, tuple(_sections(html)))


def fill_in(name: str) -> str:
    """The Markdown of a chapter with its values."""
    source = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
    return Engine(autoescape=False).from_string(source).render(Context(read_values(), autoescape=False))


def _sections(html: str) -> Iterator[Section]:
    before, *parts = HEADING.split(html)
    yield Section("", "", _plain(before))
    for anchor, title, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        yield Section(anchor, _plain(title), _plain(text))


def _plain(html: str) -> str:
    return " ".join(unescape(strip_tags(html.replace("<", " <"))).split())


def contents() -> list[tuple[str, list[Chapter]]]:
    """The parts and their chapters."""
    return [(part, [read_chapter(name) for name in names]) for part, names in PARTS]


def search(term: str) -> list[Hit]:
    """The sections that have every word of the term, those first that have them in their heading."""
    words = term.casefold().split()[:MOST_WORDS]
    found: list[tuple[int, int, Hit]] = []
    for chapter in (read_chapter(name) for name in NAMES) if words else ():
        for section in chapter.sections:
            title, text = f"{chapter.title} {section.title}".casefold(), section.text.casefold()
            if all(word in title or word in text for word in words):
                score = sum(
                    10 * (word in section.title.casefold()) + 4 * (word in title) + min(text.count(word), 3)
                    for word in words
                )
                found.append((-score, len(found), Hit(chapter, section, _excerpt(section.text, words))))
    return [hit for _, _, hit in sorted(found, key=lambda one: one[:2])[:MOST_FOUND]]


def _excerpt(text: str, words: list[str]) -> SafeString:
    """The text around the first word that stands in it, which is marked."""
    at, word = min(((text.casefold().find(word), word) for word in words if word in text.casefold()), default=(0, ""))
    start = max(0, at - SHOWN // 3)
    start = text.rfind(" ", 0, start) + 1 if start else 0
    end = at + len(word)
    shown = [
        escape(text[start:at]),
        f"<mark>{escape(text[at:end])}</mark>" if word else "",
        escape(text[end : start + SHOWN]),
    ]
    return mark_safe(("… " if start else "") + "".join(shown) + (" …" if start + SHOWN < len(text) else ""))  # noqa: S308  (escaped above)


def about(request: HttpRequest) -> tuple[str, str] | None:
    """Title and address of what the manual says about the page that is open; None: nothing of its own."""
    route = request.resolver_match.url_name if request.resolver_match else None
    for beginning, name, anchor in ABOUT:
        if route and route.startswith(beginning):
            url = reverse("admin:manual_chapter", args=[name])
            return _headings(name)[anchor], f"{url}#{anchor}" if anchor else url
    return None


@lru_cache(maxsize=len(NAMES))
def _headings(name: str) -> dict[str, str]:
    """The headings of a chapter by anchor, its title by the empty one; without making the page of it."""
    source = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
    title, headings = (
        source.partition("\n")[0].removeprefix("# "),
        re.findall(r"^## (.*?)(?: {#([\w-]+)})?$", source, re.MULTILINE),
    )
    return {"": title} | {anchor or slugify(heading): heading for heading, anchor in headings}


def runbook_url(anchor: str) -> str:
    """Where the manual says what to do about a cause of attention or an alert."""
    return f"{reverse('admin:manual_chapter', args=['runbooks'])}#{anchor}"
