"""Viewers read every page of the console and of nobody a name, an address or a word that somebody typed; support does."""

import copy
import html
import pickle
import random
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connection, models
from django.test import Client
from django.urls import reverse

from apps.access.models import LastSync
from apps.accounts.models import ErasureAttempt, StaffNote, UserProfile
from apps.billing.stripe_objects import MIRRORED
from apps.console import dashboard, personal
from apps.console.admin.subscriber_tables import TABS
from apps.core import audit, clock, masking
from apps.core.audit_actions import AuditAction
from apps.core.masking import Mask, Masked
from apps.core.models import Dependency, Job
from apps.operations.drift import USERNAME_STEP
from tests.console.conftest import staff
from tests.security.addresses import routes
from tests.security.town import Town
from tests.security.url_table import table

__all__ = ["staff"]
pytestmark = pytest.mark.django_db
Staff = Callable[..., Client]

SOME = 4  # one in so many pages
SENTENCE = "Ask qzjxwk{}box@example.com, +49 170 5550123, 203.0.113.77"
RECORD = {
    "email": "qzjxwkrecord@example.com", "name": "Qzjxwkname Person", "phone": "+49 170 5550123", "receipt_url": "https://pay.example/qzjxwkurl",
    "address": {"line1": "Qzjxwkstreet 1", "city": "Qzjxwktown", "country": "DE"}, "card": {"brand": "visa", "last4": "73927392"},
    "description": "for qzjxwksomebody", "metadata": {"username": "qzjxwkmeta"}, "ip": "203.0.113.77",
}  # fmt: skip
# Whatever of it is on a page, is of a person. Long, since pages have random tokens.
MARK = re.compile(r"qzjxwk|73927392|5550123|203\.0\.113", re.IGNORECASE)
# Columns of which the rest of a row's page makes sense of the shape, and what is put there.
SHAPED: dict[tuple[str, str], Any] = {
    ("Drift", "steps"): [USERNAME_STEP.format("qzjxwkother"), SENTENCE.format("s")],
    ("ApprovalRequest", "facts"): [["Who", SENTENCE.format("f")]],
    ("ApprovalRequest", "terms"): {"days": 30, "who": SENTENCE.format("t")},
    ("Job", "history"): [{"at": "2026-11-30T09:00:00+00:00", "outcome": "dead", "reason": SENTENCE.format("h")}],
    ("LawCheck", "violations"): [["profile", "1", None, SENTENCE.format("v")]],
    ("ComparisonRun", "items"): [["event", SENTENCE.format("i"), "stripe"]],
    ("RestoreCheck", "strangers"): {"keycloak": [SENTENCE.format("r")]},
    ("InboundEvent", "body"): '{"id": "evt", "data": {"object": {"email": "qzjxwkbody@example.com", "name": "Qzjxwk Body"}}}',
    ("AccessOverride", "reason"): "Qzjxwkreason of hers",
    ("Subscription", "open_invoice_url"): "https://invoice.example/qzjxwkinvoice",
}  # fmt: skip
# Columns that hold no more than words of the code, ids, numbers, products and the names of staff: shown to all who may see the row.
PLAIN: dict[str, set[str]] = {
    "AccessFreeze": {"begun_by", "ended_by"},
    "AccessOverride": {"created_by"},
    "ApprovalRequest": {"action", "decided_by", "requested_by", "subject"},
    "AttentionItem": {"assignee", "cause", "key"},
    "AuditEntry": {"action", "actor", "hash", "prev_hash", "request_id", "subject_id", "subject_kind"},
    "ComparisonRun": {"actor", "kind"},
    "CustomerApiKey": {"created_by", "digest", "name", "prefix", "revoked_by"},
    "CustomerImport": {"actor", "cursor", "stages"},
    "Group": {"name"},
    "HeldBackLoss": {"state"},
    "InboundEvent": {"api_version", "customer_id", "object_id", "stripe_event_id", "type"},
    "ImportRow": {"answers", "becomes", "choices", "customer_id", "keycloak_id", "language", "products", "question", "seats"},
    "Instance": {"country", "location", "name", "slug", "url"},
    "Job": {"key", "kind", "lane", "parked_on", "request_id"},
    "LawCheck": {"law"},
    "LegalHold": {"ended_by", "set_by"},
    "Membership": {"products", "terms_version"},
    "Notification": {"encrypted", "key", "provider_id", "template"},
    "Outage": {"peer", "waited"},
    "PrivacyRequest": {"closed_by", "opened_by"},
    "Product": {
        "client_links", "color", "features", "features_de", "first_steps", "first_steps_de", "grants", "guide_url", "icon", "name", "name_de",
        "names_given", "slug", "stripe_product_id", "summary", "summary_de", "sync_address",
    },
    "ProductPrice": {"currency", "stripe_price_id"},
    "RestoreCheck": {"counts", "cursor", "finished_by"},
    "SafeguardReview": {"decided_by", "job_key", "scope", "sweep"},
    "SeatMove": {"answered_by", "why"},
    "SeatPlan": {"actor"},
    "Signup": {"basket", "checkout_digest", "checkout_session_id", "keycloak_id", "network", "terms_version"},
    "SyncRun": {"actor"},
    "TermsChange": {"changed_by"},
    "TermsPreview": {"decided_by", "problem", "requested_by", "values"},
    "User": {"password"},
    "WebhookDelivery": {"message_id", "order"},
    "UserProfile": {"access_reason", "forecast", "keycloak_id", "monthly_currency", "proven_keycloak_id", "stripe_customer_id", "stripe_subscription_id"},
}  # fmt: skip


def columns() -> Iterator[tuple[type[models.Model], str, Mask]]:
    for model, masks in personal.PERSONAL.items():
        yield from ((model, name, one) for name, one in masks.items())
    for mirrored in MIRRORED:
        for field in mirrored._meta.concrete_fields:  # type: ignore[attr-defined]
            if one := masking.mask_of(mirrored, field.name):
                yield mirrored, field.name, one  # type: ignore[misc]


def value_for(model: type[models.Model], name: str, one: Mask, number: int) -> Any:
    if (model.__name__, name) in SHAPED:
        return SHAPED[model.__name__, name]
    if one is masking.RECORD:
        return RECORD
    if isinstance(model._meta.get_field(name), models.JSONField):
        return [SENTENCE.format(number)]
    plain = {
        masking.EMAIL: f"qzjxwk{model.__name__}{number}@example.com".lower(),
        masking.USERNAME: f"qzjxwkuser{number}",
    }
    shown = plain | {masking.NAME: f"Qzjxwk{name}{number}", masking.FREE_TEXT: f"qzjxwkfree {name} {number}"}
    return shown.get(one, SENTENCE.format(number) if one is masking.SENTENCES else f"qzjxwkaccount{number}")


def mark_everything(world: Any) -> None:
    """A mark in every column that may hold personal data, of every row; the audit log is written, since it cannot be changed."""
    profile, now = world.profiles[0], clock.now()
    StaffNote.objects.create(profile=profile, text="-", written_by="staff:bob", written_at=now)
    Dependency.objects.create(name="stripe", down_since=now, probe_at=now, reason="-")
    ErasureAttempt.objects.create(profile=profile, tried_at=now, refused_at=now, refusal="-")
    LastSync.objects.update_or_create(profile=profile, defaults={"steps": ["-"], "ended_at": now, "generation": 0})
    for model, name, one in columns():
        if model.__name__ == "AuditEntry":
            continue
        for number, row in enumerate(model._base_manager.order_by("pk").filter(**own(model)), start=1):
            model._base_manager.filter(pk=row.pk).update(**{name: value_for(model, name, one, number)})
    after = {"who": "203.0.113.77", "phone": "+49 170 5550123"}
    audit.record(subject=profile.subject, action=AuditAction.SYNC_REQUESTED, actor="staff:bob", reason="qzjxwkwhy, she called", after=after, before=after | {"a": 1})  # fmt: skip
    dashboard.forget()


def own(model: type[models.Model]) -> dict[str, Any]:
    return {"is_staff": False} if model is User else {}


@pytest.fixture
def town(staff: Staff) -> Town:
    made = Town(staff)
    mark_everything(made.world)
    return made


def pages_of(town: Town, role: str, *, share: int = 1) -> Iterator[tuple[str, str]]:
    """Addresses of the console that the role may read, one in `share` of them, each with its answer."""
    found = [town.address(route) for route, answers in table().items() if route in routes() and route.startswith("admin/") and answers.get[role] == "200"]  # fmt: skip
    found += [
        reverse("admin:accounts_userprofile_tab", args=[town.world.profiles[0].pk]) + f"?tab={tab.key}" for tab in TABS
    ]
    found += [
        f"{reverse(f'admin:{name}_changelist')}?is=all"
        for name in ("core_job", "core_attentionitem", "operations_drift")
    ]
    found += [f"/admin/search/?s={term}" for term in ("qzjxwkuser1", "qzjxwkuserprofile1@example.com", "cus_0000")]
    for address in random.sample(found, len(found) // share):
        answer = town.browsers[role].get(address, headers={"HX-Request": "true"})
        assert answer.status_code == 200, address
        yield address, html.unescape(answer.content.decode()) + str(answer.headers)


def marks_in(text: str) -> set[str]:
    return {text[max(0, found.start() - 60) : found.end() + 30] for found in MARK.finditer(text)}


def unmarked() -> set[str]:
    """Columns of which the walk would prove nothing."""
    empty = set()
    with connection.cursor() as cursor:
        for model, name, _ in columns():
            column: Any = model._meta.get_field(name).column
            cursor.execute(
                f'SELECT count(*) FROM "{model._meta.db_table}" WHERE "{column}"::text ~* %s', [MARK.pattern]
            )
            if not cursor.fetchone()[0]:
                empty.add(f"{model.__name__}.{name}")
    return empty


@pytest.mark.parametrize("share", [SOME, pytest.param(1, marks=pytest.mark.nightly)])
def test_no_page_tells_a_viewer_who_somebody_is(share: int, town: Town) -> None:
    """Each time some of the pages; the long run reads all of them."""
    assert unmarked() == set()
    seen = {address: marks_in(text) for address, text in pages_of(town, "viewer", share=share)}
    assert {address: marks for address, marks in seen.items() if marks} == {}
    assert len(seen) > 110 / share - 1


def test_support_reads_what_viewers_do_not_and_both_can_tell_rows_apart(town: Town) -> None:
    client, profile = town.browsers["support"], town.world.profiles[0]
    page = reverse("admin:accounts_userprofile_change", args=[profile.pk])
    text = "".join(
        client.get(one).content.decode()
        for one in (reverse("admin:accounts_userprofile_changelist"), page, f"{page}?tab=notes")
    )
    for word in (
        "qzjxwkuser1",
        "Qzjxwkfirst_name1 Qzjxwklast_name1",
        "qzjxwkuserprofile1@example.com",
        "qzjxwkfree text 1",
        "qzjxwkwhy",
    ):
        assert word in text, word

    text = town.browsers["viewer"].get(reverse("admin:accounts_userprofile_changelist")).content.decode()
    first = town.world.profiles[0]
    assert f"q… #{first.pk}" in text
    assert "q…@example.com" in text
    assert "Q. Q." in text
    assert reverse("admin:accounts_userprofile_change", args=[first.pk]) in text


def test_the_first_page_keeps_its_numbers_apart_for_who_may_not_read_names(town: Town) -> None:
    """They are kept for some seconds, for all staff."""
    UserProfile.objects.filter(pk=town.world.profiles[0].pk).update(
        pending_since=clock.now() - clock.dt.timedelta(days=2)
    )
    for role, shown in (("support", True), ("viewer", False), ("support", True)):
        assert ("qzjxwkuser" in town.browsers[role].get("/admin/").content.decode()) is shown, role


def test_an_admin_who_views_as_viewer_sees_masks_also_where_the_search_is_cached(town: Town) -> None:
    client, address = town.browsers["admin"], reverse("admin:accounts_userprofile_changelist")
    search = "/admin/search/?s=qzjxwkuser1"
    assert "qzjxwkuser1" in client.get(search).content.decode().replace('value="qzjxwkuser1"', "")
    client.post(reverse("admin:roles_view", args=["viewer"]))
    for page in (address, search):
        assert "q…" in (text := client.get(page).content.decode())
        assert "qzjxwkuser1<" not in text
        assert "qzjxwkuser2" not in text
    client.post(reverse("admin:roles_view", args=["none"]))
    assert "qzjxwkuser2" in client.get(address).content.decode()


# --- searching and sorting tell nothing ----------------------------------------------------------------------------------


FOUND = {
    "qzjxwkuser1": 1, "QZJXWKUSER1": 1, "qzjxwkuserprofile1@example.com": 1, "cus_0001": 1, "qzjxwkuser": 0, "qzjxwk": 0, "q": 0, "qzjxwkuserprofile1@": 0,
    "@example.com": 0, "qzjxwkfirst_name1": 0,
}  # fmt: skip
SEARCHED = (
    "accounts_signup",
    "onboarding_waitlistentry",
    "notifications_notification",
    "auth_user",
    "accounts_legalhold",
    "access_accessfreeze",
)


def test_a_viewer_finds_somebody_by_the_whole_of_what_they_know_alone(town: Town) -> None:
    """By parts, and by the order of a list, names could be guessed letter by letter."""
    client = town.browsers["viewer"]
    for term, found in FOUND.items():
        listed = client.get(reverse("admin:accounts_userprofile_changelist"), {"q": term}).context["cl"]
        assert (listed.result_count, listed.search_help_text) == (found, "A whole username or address, or any id"), term
        assert (b"Subscriber," in client.get("/admin/search/", {"s": term}).content) is bool(found), term
    for name in SEARCHED:
        for part in ("qzjxwk", "example.com"):
            shown = {
                role: town.browsers[role].get(reverse(f"admin:{name}_changelist"), {"q": part})
                for role in ("viewer", "support")
            }
            counts = {role: one.context["cl"].result_count for role, one in shown.items()}
            assert counts["viewer"] == 0, (name, part)
            assert counts["support"] or part == "example.com" or name == "auth_user", (name, part)
    row = reverse("admin:accounts_userprofile_timeline", args=[town.world.profiles[0].pk])
    assert "Sync requested" not in client.get(row, {"id": "qzjxwkwhy"}).content.decode()
    assert "Sync requested" in town.browsers["support"].get(row, {"id": "qzjxwkwhy"}).content.decode()
    for role, is_sorted in (("support", True), ("viewer", False)):
        offered = town.browsers[role].get(reverse("admin:auth_user_changelist")).context["cl"].sortable_by
        assert ("email" in offered) is is_sorted, role


# --- the mechanism -------------------------------------------------------------------------------------------------------


def test_a_masked_row_or_value_is_compared_looked_up_and_saved_as_it_is(town: Town) -> None:
    with masking.masked():
        profile = UserProfile.objects.select_related("user").get(pk=town.world.profiles[0].pk)
        assert (str(profile), f"{profile.email}") == (f"q… #{profile.pk}", "q…@example.com")
        assert profile.email == "qzjxwkuserprofile1@example.com"
        assert UserProfile.objects.get(email=profile.email) == profile
        assert UserProfile.objects.get(email__iexact=profile.email.upper()) == profile
        profile.save()
        profile.user.save()
    profile.refresh_from_db()
    assert (profile.email, profile.user.username) == ("qzjxwkuserprofile1@example.com", "qzjxwkuser1")

    with masking.masked():
        names = list(UserProfile.objects.order_by("pk").values_list("user__username", "email"))
        assert [f"{name} {email}" for name, email in names] == ["q… q…@example.com"] * len(names)
        data = MIRRORED[0]._default_manager.values_list("stripe_data__card__last4", flat=True)  # type: ignore[attr-defined]
        assert {str(one) for one in data} == {masking.HIDDEN}
    assert Job.objects.values_list("last_error", flat=True).first() == SENTENCE.format(1)


@pytest.mark.parametrize(
    ("one", "value", "shown"),
    [(masking.EMAIL, "dana.lopez@example.com", "d…@example.com"), (masking.NAME, "Dana María Lopez", "D. M. L."),
     (masking.USERNAME, "dana", "d…"), (masking.FREE_TEXT, "she is ill", "•••"), (masking.EMAIL, "", ""),
     (masking.SENTENCES, "Mail to dana@example.com failed 3 times", "Mail to d…@example.com failed 3 times"),
     (masking.SENTENCES, "From 2001:db8:0:1::7 at 12:30:45", "From 2001:db8:0:1::7 at 12:30:45"),
     (masking.RECORD, {"shipping": {"name": "Dana", "address": {"city": "Bonn", "country": "DE"}}, "amount": 500},
      {"shipping": {"name": "•••", "address": {"city": "•••", "country": "DE"}}, "amount": 500})],
)  # fmt: skip
def test_how_it_reads(one: Mask, value: Any, shown: Any) -> None:
    assert masking.mask(one, value) == value
    with masking.masked():
        assert repr(masking.mask(one, value)) == repr(shown)


def test_a_mask_never_leaves_with_what_it_stands_for() -> None:
    one = Masked("d…", "dana")
    assert [type(found) for found in (copy.copy(one), pickle.loads(pickle.dumps(one)))] == [str, str]
    assert "dana" not in repr(one) + f"{one}" + str(one) + "".join([one]) + one.lower() + one[:3]


def test_every_column_of_words_is_masked_or_named_as_plain() -> None:
    """A new column has to be thought about."""
    found: dict[str, set[str]] = {}
    for model in admin.site._registry:
        if model._meta.app_label == "djstripe":
            continue
        for field in model._meta.concrete_fields:
            words = isinstance(field, models.CharField | models.TextField | models.JSONField) and not field.choices
            if words and masking.mask_of(model, field.name) is None:
                found.setdefault(model.__name__, set()).add(field.name)
    assert found == PLAIN
