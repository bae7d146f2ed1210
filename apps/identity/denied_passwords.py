"""Passwords that nobody may choose: common and leaked ones, and those made of this site's own words.

Keycloak refuses them by its policy `passwordBlacklist`, which reads a file of its own disk: one password a line in lower
case, as it compares without case. `config/keycloak/password-deny-list.txt` is that file for a site called Frontdesk, and
`manage.py password_deny_list` writes it for any other.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from django.conf import settings

from apps.catalog.models import Product
from apps.identity.doctor.expected import DENY_LIST_FILE, MIN_PASSWORD_LENGTH

PATH = settings.BASE_DIR / "config/keycloak" / DENY_LIST_FILE
SHORTEST_WORD = 4  # characters; of a shorter one too many good passwords are made
SEPARATORS = ("", "-", "_", ".", "@")
NUMBERS = ("", "0", *("123456789"[:length] for length in range(1, 10)), *map(str, range(2010, 2036)))
COMPANIONS = ("password", "passwort", "login", "welcome", "admin", "secret", "account", "access", "support", "user")
LEET = str.maketrans({"a": "4", "e": "3", "i": "1", "o": "0", "s": "5", "t": "7"})
NO_NAMES = frozenset({"www", "http", "https", "localhost", "example"})


def shipped() -> list[str]:
    """The passwords of the file that comes with Frontdesk."""
    return PATH.read_text().splitlines()


def own_words(more: Iterable[str] = ()) -> list[str]:
    """The words that somebody thinks of here: the brand, the address, the realm, what is sold, and `more`."""
    host = urlsplit(settings.BASE_URL).hostname or ""
    texts = [str(settings.BRAND["name"]), settings.KEYCLOAK_REALM, *host.split(".")[:-1], *more]
    texts += [text for names in Product.objects.values_list("slug", "name", "name_de") for text in names if text]
    found = {word for text in texts for word in _words(text)}
    return sorted(found - NO_NAMES)


def _words(text: str) -> Iterator[str]:
    """A name as people type it into a password: as one word, and each of its parts."""
    parts = re.findall(r"\w+", unicodedata.normalize("NFKC", text).lower().replace("_", " "))
    yield from (word for word in {"".join(parts), *parts} if len(word) >= SHORTEST_WORD)


def made_of(word: str) -> Iterator[str]:
    """The passwords of allowed length that people make of a word: with numbers, beside another word, or repeated."""
    for spelled in dict.fromkeys([word, word.translate(LEET)]):
        for separator in SEPARATORS:
            ends = [f"{separator}{number}{sign}" for number in NUMBERS for sign in ("", "!")]
            pairs = [(spelled, one) for one in COMPANIONS] + [(one, spelled) for one in COMPANIONS]
            found = [spelled + end for end in ends] + [f"{number}{separator}{spelled}" for number in NUMBERS]
            found += [f"{one}{separator}{other}{end}" for one, other in pairs for end in ("", "1", "123", "!")]
            found += [separator.join([spelled] * times) for times in (2, 3)]
            yield from (password for password in found if len(password) >= MIN_PASSWORD_LENGTH)


def deny_list(words: Iterable[str]) -> list[str]:
    """All of it, each password once: the file that comes with Frontdesk, then what is made of these words."""
    return list(dict.fromkeys([*shipped(), *(password for word in words for password in sorted(made_of(word)))]))
