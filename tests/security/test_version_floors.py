"""No release with a published hole: what is installed is at or above the first one that closes it. Needs no network."""

import importlib.metadata
import re

import pytest

from apps.sandbox.run import keycloak_distribution

FLOORS = [
    ("django", "5.2.8", "CVE-2025-64459"),
    ("django", "5.2.14", "CVE-2026-35192"),
    ("django", "5.2.15", "CVE-2026-7666"),
    ("django", "5.2.17", "CVE-2026-15920"),
    ("django", "5.2.18", "CVE-2026-84429"),
    ("django-allauth", "65.13.0", "CVE-2025-65430"),
    ("django-allauth", "65.13.0", "CVE-2025-65431"),
    ("django-allauth", "65.19.4", "CVE-2026-97764"),
    ("granian", "2.7.4", "CVE-2026-42544"),
    ("granian", "2.7.4", "CVE-2026-42545"),
    ("urllib3", "2.5.0", "CVE-2025-50181"),
    ("urllib3", "2.6.0", "CVE-2025-66418"),
    ("urllib3", "2.6.3", "CVE-2026-21441"),
    ("requests", "2.32.0", "CVE-2024-35195"),
    ("requests", "2.32.4", "CVE-2024-47081"),
    ("h11", "0.16.0", "CVE-2025-43859"),
    ("httpx", "0.23.0", "CVE-2021-41945"),
    ("certifi", "2024.7.4", "CVE-2024-39689"),
    ("idna", "3.7", "CVE-2024-3651"),
    ("sqlparse", "0.5.0", "CVE-2024-4340"),
    ("cryptography", "44.0.1", "CVE-2024-12797"),
    ("pyjwt", "2.10.1", "CVE-2024-53861"),
    ("jwcrypto", "1.5.6", "CVE-2024-28102"),
    ("oauthlib", "3.2.2", "CVE-2022-36087"),
    ("pyyaml", "5.4", "CVE-2020-14343"),
]


def numbers(version: str) -> tuple[int, ...]:
    """The release's numbers; what follows them, such as rc1, counts as nothing."""
    found = re.match(r"\d+(\.\d+)*", version)
    assert found, version
    return tuple(int(number) for number in found[0].split("."))


@pytest.mark.parametrize(("package", "floor", "advisory"), FLOORS)
def test_what_is_installed_has_the_hole_closed(package: str, floor: str, advisory: str) -> None:
    installed = importlib.metadata.version(package)
    assert numbers(installed) >= numbers(floor), f"{package} {installed} has {advisory}: take {floor} or later."


def test_keycloak_is_one_without_a_published_hole() -> None:
    assert numbers(keycloak_distribution.VERSION) >= (26, 7, 2), "CVE-2026-18963: takeover by the reset flow"
