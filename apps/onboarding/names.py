"""Checks what visitors type: first and last names, usernames, email addresses. Pure checks; no database.

Each returns the text as stored, or raises BadInput with a message for the field. Only accounts that Keycloak accepts can be
paid for, so every rule of the realm is applied too: callers pass `identity.user_profile.current_rules()`.
"""

import re
import unicodedata

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from apps.core.addresses import ascii_domain, can_be_mailed
from apps.core.errors import BadInput
from apps.identity.user_profile import SHIPPED, Rules, Violation, find_violation
from apps.onboarding.reserved_usernames import is_reserved

NAME_LIMIT, WORD_LIMIT = 120, 64  # a first and a last name fit into Stripe's 256 characters
USERNAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,28}[a-z0-9]")
JOINERS = "\u200c\u200d"  # needed inside words of some scripts
# What a mail program would turn into a link. A real name with a dot and no space (St.Clair, Ma.Teresa) is none.
LINK = re.compile(
    r"(?i:://|www\.|xn--|\b(?:https?|mailto|tel|sms):|\bt\.me\b|\bdot +(?:com|net|org)\b)|@|[^\W_]{2,}\.[a-z]{2}(?![^\W_])"
    r"|[^\W_]\.(?i:com|net|org|info|biz|app|dev|xyz|online|site|shop|store|top|club|live|link|page|web|cloud|email|click"
    r"|zip|mov|рф|укр|бел|中国|公司|网络)(?![^\W_])"
)
# Read as a dot by people or browsers, and not made one by NFKC; and what nobody sees between two letters.
DOTS = str.maketrans(dict.fromkeys("。۔܁܂ꓸ꘎𐩐", ".") | dict.fromkeys(JOINERS))
DIGIT_LIMIT = 4  # a year or "the 3rd" may be a name; the shortest numbers that cost a caller money have five digits
FORMULA = ("=", "+", "-", "@")  # a spreadsheet would run a name that starts with one
KEYCLOAK_FIELDS = {"first_name": "firstName", "last_name": "lastName", "username": "username", "email": "email"}
CODES = {"required": "required", "long": "too_long", "short": "too_short", "characters": "characters"}
TOO_LONG = gettext_noop("Please use at most {limit} characters.")
# What to change where the realm refuses something, by the rule that is broken; two of them by the field.
RULES = {
    "short": gettext_noop("Please use at least {limit} characters."),
    "long": TOO_LONG,
    "characters": gettext_noop("Please remove these characters: {characters}."),
    "email": gettext_noop("Please use an email address with at most {limit} characters before the @."),
}
REQUIRED = {
    "first_name": gettext_noop("Please enter your first name."),
    "last_name": gettext_noop("Please enter your last name."),
    "username": gettext_noop("Please enter your username."),
    "email": gettext_noop("Please enter your email address."),
}
REFUSED = {
    "first_name": gettext_noop("We can't make an account with this first name. Please write it differently."),
    "last_name": gettext_noop("We can't make an account with this last name. Please write it differently."),
    "username": gettext_noop("We can't make an account with this username. Please write it differently."),
    "email": gettext_noop("We can't make an account with this email address. Please write it differently."),
}
PAIR = gettext_noop("To name two people, write “and”.")


def person_name(text: str, *, field: str, required: bool = True, rules: Rules = SHIPPED) -> str:
    """A first or last name: at most 120 characters, no control characters, no addresses, nothing the realm refuses."""
    visible = "".join(one for one in text if not _is_format(one))
    name = " ".join(unicodedata.normalize("NFKC", visible).split())
    if not name and not required:
        return _accept(name, field=field, rules=rules)
    if not any(character.isalpha() for character in name):
        raise BadInput(_("Please enter your name."), field=field, code="required")
    if len(name) > NAME_LIMIT:
        raise BadInput(_(TOO_LONG).format(limit=NAME_LIMIT), field=field, code="too_long")
    if max(map(len, name.split())) > WORD_LIMIT:
        told = _("Please use at most {limit} characters in a word.").format(limit=WORD_LIMIT)
        raise BadInput(told, field=field, code="too_long")
    if any(unicodedata.category(character) in {"Cc", "Cs", "Cn"} for character in name):
        raise BadInput(_("Please remove the invisible characters."), field=field, code="characters")
    if LINK.search(name.translate(DOTS)) or name.startswith(FORMULA):
        raise BadInput(
            _("Please enter just a name, with a space after each dot and without an email or web address."),
            field=field,
            code="characters",
        )
    if sum(character.isdigit() for character in name) > DIGIT_LIMIT:  # a phone number, however its digits are parted
        raise BadInput(_("Please enter just a name, without a phone number."), field=field, code="characters")
    return _accept(name, field=field, rules=rules)


def _is_format(character: str) -> bool:
    """Marks that nobody sees, such as those for the direction of writing; they come along when a name is pasted."""
    return unicodedata.category(character) == "Cf" and character not in JOINERS


def _accept(value: str, *, field: str, rules: Rules) -> str:
    """The value, if the realm accepts it in that field; else BadInput with what to change."""
    keycloak_field = KEYCLOAK_FIELDS[field]
    # Keycloak stores usernames and addresses in lower case, and checks what it stores.
    checked = value.lower() if field in {"username", "email"} else value
    broken = find_violation(keycloak_field, checked, rules)
    if broken is not None:
        raise BadInput(_sentence(broken, field), field=field, code=CODES.get(broken.rule, "format"))
    return value


def _sentence(broken: Violation, field: str) -> str:
    """What to change, for the person who typed it."""
    told = {"required": REQUIRED.get(field, ""), "value": REFUSED.get(field, "")} | RULES
    said = _(told[broken.rule]).format(limit=broken.limit, characters=" ".join(broken.characters))
    names_two = field.endswith("_name") and set(broken.characters) & set("&/")
    return f"{said} {_(PAIR)}" if broken.rule == "characters" and names_two else said


def username(text: str, *, rules: Rules = SHIPPED) -> str:
    """A username: 3 to 30 of a-z, 0-9, dot, underscore, hyphen, a letter or digit at both ends, not reserved."""
    name = unicodedata.normalize("NFKC", text).strip().lower()
    if not name:
        raise BadInput(_("Please choose a username."), field="username", code="required")
    if not USERNAME.fullmatch(name):
        raise BadInput(
            _(
                "Use 3 to 30 lowercase letters, numbers, dots, hyphens or underscores. Start and end with a letter or number."
            ),
            field="username",
            code="format",
        )
    if is_reserved(name):
        raise BadInput(_("This username is reserved. Please choose another."), field="username", code="reserved")
    return _accept(name, field="username", rules=rules)


def email(text: str, *, rules: Rules = SHIPPED) -> str:
    """The address of somebody new, normalized; BadInput also when the realm would not make an account with it."""
    return _accept(normalize_email(text), field="email", rules=rules)


def normalize_email(text: str) -> str:
    """An email address with its domain in lower case and ASCII (punycode); the part before the @ is kept as typed.

    All that is stored, compared or sent anywhere is this form; `core.addresses.shown_email` is the way back.
    """
    local, _at, domain = unicodedata.normalize("NFKC", text).strip().rpartition("@")
    address = f"{local}@{ascii_domain(domain)}"
    if domain and local and local.isprintable() and not local.isascii():
        message = _("We can't deliver email to an address with letters such as ä before the @. Please use another one.")
        raise BadInput(message, field="email", code="format")
    if not can_be_mailed(address):
        raise BadInput(_("Please enter an email address like anna@example.com."), field="email", code="format")
    return address
