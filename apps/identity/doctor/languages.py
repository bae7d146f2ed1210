"""Whether Keycloak speaks the languages of the site: its pages and emails follow `ui_locales` and a person's `locale` only then.

With internationalization off, 26.7.3 answers in English and drops the attribute `locale` of everybody, whatever the user profile says.
https://www.keycloak.org/docs/latest/server_admin/#_internationalization
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from babel import Locale

from apps.identity.doctor.expected import Expected, Row
from apps.identity.doctor.report import Finding, listed, set_command
from apps.identity.doctor.rules import RULES

if TYPE_CHECKING:
    from apps.identity.doctor.reading import Snapshot

ONLY_LANGUAGE = "en"  # of a realm without internationalization


def languages_of(realm: Row) -> list[str]:
    """In which languages its pages and emails can be."""
    if not realm.get("internationalizationEnabled"):
        return [ONLY_LANGUAGE]
    return sorted(realm.get("supportedLocales") or [ONLY_LANGUAGE])


def check_languages(snapshot: "Snapshot", expected: Expected) -> Iterator[Finding]:
    """All of the site's are among the realm's."""
    if snapshot.realm is None:  # which `check_realm` says
        return
    spoken = languages_of(snapshot.realm)
    missing = [one for one in expected.languages if one not in spoken]
    values = {"internationalizationEnabled": True, "supportedLocales": sorted({*spoken, *expected.languages})}
    yield RULES["realm.languages"].outcome(
        not missing, missing=listed(str(Locale(one).english_name) for one in missing),
        commands=(set_command(f"realms/{expected.realm}", expected.realm, values),),
    )  # fmt: skip
