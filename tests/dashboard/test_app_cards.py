"""The card of an app: where its data lives, what goes on there, and how to begin; each person sees their own instance's."""

import datetime as dt
from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import UserProfile
from apps.core import clock
from apps.core.countries import country_name, list_countries
from apps.core.models import AuditEntry
from apps.instances import deployments
from apps.instances.models import Instance, ProductAccount
from tests.dashboard.conftest import Catalog, person, seat, subscribe
from tests.dashboard.test_dashboard import URL, page_of, text

GB = 1024**3
HOUR = dt.timedelta(hours=1)
WHY = {"actor": "staff:ada", "reason": "the disks are full"}


def tell(instance: Instance, begins: dt.timedelta, ends: dt.timedelta, notice: str = "maintenance") -> None:
    now = clock.now()
    deployments.set_notice(instance=instance, notice=notice, between=(now + begins, now + ends), **WHY)


def test_it_says_where_the_data_lives(nora: UserProfile, catalog: Catalog) -> None:
    assert "Your data lives in" not in page_of(nora)
    deployments.set_location(instance=catalog.instance, location="Falkenstein", country="DE", **WHY)
    assert "Your data lives in Falkenstein, Germany" in page_of(nora)
    deployments.set_location(instance=catalog.instance, location="", country="AT", **WHY)
    assert "Your data lives in Austria" in page_of(nora)
    assert AuditEntry.objects.filter(subject_kind="instance", action="instance_location_changed").count() == 2


def test_countries_are_named_by_their_codes() -> None:
    names = dict(list_countries())
    assert (names["DE"], country_name("DE", language="de"), country_name("QQ")) == ("Germany", "Deutschland", "QQ")
    assert "EU" not in names
    assert len(names) > 200


@pytest.mark.parametrize(
    ("kind", "begins", "ends", "badge", "words"),
    [
        ("maintenance", -HOUR, HOUR, "Maintenance", "We're working on it until"),
        ("maintenance", HOUR, 3 * HOUR, "Ready", "Planned maintenance from"),
        ("maintenance", 24 * 15 * HOUR, 24 * 16 * HOUR, "Ready", ""),
        ("disruption", -HOUR, HOUR, "Disrupted", "we're on it"),
    ],
)
def test_a_notice_is_shown_from_two_weeks_before_until_its_end(
    kind: str, begins: dt.timedelta, ends: dt.timedelta, badge: str, words: str, nora: UserProfile, catalog: Catalog
) -> None:
    tell(catalog.instance, begins, ends, kind)
    page = page_of(nora)
    assert badge in page
    assert words in page
    if not words:
        assert "aintenance" not in page
    Instance.objects.update(notice_from=clock.now() - 3 * HOUR, notice_until=clock.now() - HOUR)
    assert "Ready" in page_of(nora)


def test_only_those_on_the_instance_read_its_notice(nora: UserProfile, catalog: Catalog) -> None:
    elsewhere = Instance(
        slug="cloud-2", name="Cloud Two", product=catalog.cloud, url="https://cloud-2.example.com/",
        soft_cap=1, allocation_cap=2, hard_cap=3, location="Graz", country="AT",
    )  # fmt: skip
    deployments.create_instance(elsewhere, **WHY)
    omar = person("omar")
    subscribe(omar, catalog.plan)
    seat(omar, elsewhere)
    tell(elsewhere, -HOUR, HOUR, "disruption")
    assert "Disrupted" in page_of(omar)
    for words in ("Disrupted", "Graz", "Cloud Two"):
        assert words not in page_of(nora)
    assert Client().get(URL).status_code == 302


def test_how_to_begin_is_told_to_those_who_can_begin(nora: UserProfile, catalog: Catalog, client_of_nora: Any) -> None:
    catalog.cloud.first_steps = ["Open it.", "Get the <b>program</b>."]
    catalog.cloud.client_links = [
        {"name": "Android", "url": "https://example.com/android"},
        {"name": "Trap", "url": "javascript:alert(1)"},
    ]
    catalog.cloud.sync_address = "{url}dav/{username}/"
    catalog.cloud.guide_url = "https://example.com/manual"
    catalog.cloud.save()
    answer = client_of_nora.get(URL)
    page = text(answer)
    for words in (
        "How to begin",
        "Open it.",
        "Get the <b>program</b>.",
        "https://cloud-1.example.com/dav/nora/",
        "Android",
    ):
        assert words in page, words
    source = answer.content.decode()
    assert 'href="https://example.com/manual"' in source
    assert "<b>program" not in source
    assert "javascript:" not in source
    UserProfile.objects.update(access_state="suspended")
    assert "How to begin" not in page_of(nora)


def test_an_app_that_says_nothing_about_beginning_has_no_such_part(nora: UserProfile) -> None:
    assert "How to begin" not in page_of(nora)


def keep(profile: UserProfile, instance: Instance, **found: int | None) -> None:
    """What was read of the person's account in the app."""
    ProductAccount.objects.update_or_create(
        profile=profile, instance=instance, defaults={"user_id": f"id-{profile.pk}", "state": "open", **found}
    )


@pytest.mark.parametrize(
    ("used", "quota", "language", "words"),
    [
        (180 * GB, 500 * GB, "en", "Storage 180 GB of 500 GB"),
        (3 * GB // 2, 1536 * GB, "de", "Speicherplatz 1,5 GB von 1,5 TB"),
        (0, 100 * GB, "en", "Storage 0 bytes of 100 GB"),
        (7 * GB, None, "en", "Storage 7 GB used"),
        (7 * GB, 0, "en", "Storage 7 GB of 0 bytes"),
        (None, 100 * GB, "en", ""),
    ],
)
def test_the_card_says_how_much_storage_is_in_use(
    used: int | None, quota: int | None, language: str, words: str, nora: UserProfile, catalog: Catalog,
    settings: Any,
) -> None:  # fmt: skip
    settings.SITE_LANGUAGES = ["en", "de"]
    keep(nora, catalog.instance, used=used, quota_found=quota)
    UserProfile.objects.update(language=language)
    client = Client(headers={"Accept-Language": language})
    client.force_login(nora.user)
    page = text(client.get(URL))
    assert words in page
    assert words or "Storage " not in page


def test_nobody_reads_what_another_uses(nora: UserProfile, catalog: Catalog) -> None:
    omar = person("omar")
    subscribe(omar, catalog.plan)
    seat(omar, catalog.instance)
    keep(omar, catalog.instance, used=180 * GB, quota_found=500 * GB)
    assert "180 GB of 500 GB" in page_of(omar)
    assert "180 GB" not in page_of(nora)
