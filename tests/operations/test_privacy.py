"""One person is exported whole, and erased everywhere with a receipt."""

import datetime as dt
import json
from io import StringIO

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection, models
from djstripe.models import Charge, PaymentMethod

from apps.access import memberships, overrides
from apps.accounts.models import Membership, UserProfile
from apps.core import attention, clock, retention
from apps.core.attention import Cause
from apps.core.errors import BadInput
from apps.core.models import Job
from apps.instances.models import Seat
from apps.notifications.mail import notify
from apps.notifications.models import Notification
from apps.onboarding import names
from apps.onboarding.models import AddressChange
from apps.operations import privacy
from apps.operations.models import CustomerImport, ImportRow
from tests.access.test_sharing import make_member
from tests.dashboard.conftest import person
from tests.world import World

BY = {"actor": "staff:ada", "reason": "asked by letter"}
NOT_EXPORTED = {
    "admin.LogEntry": "written by nobody: the audit trail has it",
    "djstripe.Customer": "its local user is never set; the copy itself is exported by its id",
}


def columns_with(text: str) -> set[str]:
    """Every table and column that holds this text; the audit trail and jobs are judged by themselves."""
    found = set()
    with connection.cursor() as cursor:
        for model in apps.get_models(include_auto_created=True):
            table = model._meta.db_table
            if table in {"core_auditentry", "core_job", "django_session"} or not model._meta.managed:
                continue
            for one in model._meta.local_concrete_fields:
                cursor.execute(f'SELECT count(*) FROM "{table}" WHERE "{one.column}"::text ILIKE %s', [f"%{text}%"])
                if cursor.fetchone()[0]:
                    found.add(f"{table}.{one.column}")
    return found


def leave(world: World, profile: UserProfile) -> None:
    """The subscription ends at Stripe."""
    profile.refresh_from_db()
    world.shop.v1.subscriptions.cancel(profile.stripe_subscription_id or "")
    world.deliver()


def test_an_export_holds_every_table_that_points_to_a_person(world: World) -> None:
    dana, other = world.subscriber("dana"), world.subscriber("other")
    out = StringIO()
    call_command("export_person", "Dana@example.com", stdout=out)
    found = json.loads(out.getvalue())
    wanted = {
        model._meta.label
        for model in apps.get_models()
        for one in model._meta.concrete_fields
        if one.related_model in {User, UserProfile} or isinstance(one, models.EmailField)
    }
    assert {one for one in wanted if not one.startswith("djstripe.")} - found.keys() - NOT_EXPORTED.keys() == set()
    for label in ("auth.User", "accounts.UserProfile", "accounts.Signup", "notifications.Notification", "core.AuditEntry",
                  "instances.Seat", "billing.UserSubscriptionItem", "billing.Subscription", "djstripe.Customer", "djstripe.Invoice"):  # fmt: skip
        assert found[label], label
    assert "other@example.com" not in out.getvalue()
    assert "password" not in found["auth.User"][0]
    with pytest.raises(CommandError):
        call_command("export_person", "nobody@example.com")
    assert privacy.find_person(str(other.pk)) == other
    assert privacy.find_person("dana@example.com") == dana


@pytest.mark.django_db
def test_a_copy_says_nothing_of_other_people_nor_who_of_staff_did_what() -> None:
    """GDPR, article 15 (4): what is stored with the rows of a person about somebody else stays out of their copy."""
    pat = person("pat", pk=770_001)
    mia = make_member(pat)
    both, theirs = [mia.pk, pat.pk], f"subscriber {pat.pk} has too much"
    attention.report(Cause.LAW, "L1", theirs, profiles=both)
    attention.report(Cause.LAW, "L2", theirs, profiles=[mia.pk])  # of the last time; the first was about another
    attention.report(Cause.DISPUTE, "dp_1", "Mia's bank disputes it.", profiles=[mia.pk])
    attention.report(Cause.DISPUTE, "dp_2", theirs, profiles=both)
    for item in attention.open_items():
        items = attention.open_items().filter(pk=item.pk)
        attention.assign(items, assignee="carol", actor="staff:carol", reason="mine")
        attention.ignore(items, actor="staff:carol", reason="as with Pat")
    memberships.end(mia.memberships.get(), Membership.End.STAFF, actor="staff:carol", reason="Pat asked for it")
    overrides.hold(profile=mia, actor="staff:carol", reason="Mia asked for it")
    Notification.objects.create(
        key="old", template="welcome", profile=pat, to=mia.email, created_at=clock.now()
    )  # the address was Pat's before
    AddressChange.objects.create(profile=pat, former=mia.email, changed_at=clock.now())
    Notification.objects.create(key="code", template="code", to=mia.email, created_at=clock.now())

    found = privacy.export(mia)
    said = json.dumps(found)
    for word in (str(pat.pk), "Pat asked", "as with Pat", "carol", "too much"):
        assert word not in said, word
    assert [one["sentence"] for one in found["core.AttentionItem"] if "sentence" in one] == ["Mia's bank disputes it."]
    assert len(found["core.AttentionItem"]) == 4
    assert [(one["reason"], one["created_by"]) for one in found["access.AccessOverride"]] == [
        ("Mia asked for it", "staff")
    ]
    assert [one["payer_id"] for one in found["accounts.Membership"]] == [None]
    assert "code" in [one["key"] for one in found["notifications.Notification"]]
    assert pat.email not in said


@pytest.mark.django_db
def test_who_pays_and_who_is_paid_for_find_nothing_of_each_other_in_their_copies() -> None:
    pat, ida = person("pat"), person("ida")
    quentin = make_member(pat, "quentin")
    Membership.objects.create(payer=pat, email=ida.email, invited_at=clock.now())
    values = {"payer": "Pat", "invite_url": "https://example.com/join/", "until": "1 April 2027"}
    notify(key="invited", template="people_invitation", to=ida.email, context=values)
    values = {"first_name": "Pat", "member": "Quentin"}
    notify(key="joined", template="people_joined", to=pat.email, profile=pat, context=values)
    memberships.end(quentin.memberships.get(), Membership.End.LEFT, actor="customer", reason="it was too small for me")
    found = {one.user.username: privacy.export(one) for one in (pat, ida, quentin)}
    said = {name: json.dumps(copy).lower() for name, copy in found.items()}
    assert [name for name, text in said.items() if "quentin" in text] == ["quentin"]
    assert [name for name, text in said.items() if "ida@" in text] == ["ida"]
    assert [name for name, text in said.items() if '"pat"' in text or "pat@" in text] == ["pat"]
    emails = {one["template"]: one["context"] for one in found["pat"]["notifications.Notification"]}
    assert emails == {"people_joined": {"first_name": "Pat"}, "people_left": {"first_name": "Pat", "how": "left"}}
    assert [one["email"] for one in found["pat"]["accounts.Membership"]] == ["", ""]
    for one in (ida, quentin):
        assert [row["email"] for row in found[one.user.username]["accounts.Membership"]] == [one.email]


def test_cards_go_with_their_customer_and_nobody_else_is_given_those_that_have_none(world: World) -> None:
    """dj-stripe's rows lose their owner with the customer, and a card that came first never had one."""
    gone, other = world.subscriber("quentin"), world.subscriber("other")
    leave(world, gone)
    cards = PaymentMethod.objects.filter(stripe_data__customer=gone.stripe_customer_id)
    cards.update(customer=None)
    assert [one["id"] for one in privacy.export(gone)["djstripe.PaymentMethod"]] == [one.id for one in cards]
    stranger = UserProfile.objects.create(
        user=User.objects.create(username="new"), email="new@example.com", created_at=clock.now()
    )
    assert not {name for name, rows in privacy.export(stranger).items() if rows and name.startswith("djstripe.")}
    privacy.erase(gone, **BY)
    world.deliver()
    assert list(PaymentMethod.objects.values_list("customer_id", flat=True)) == [other.stripe_customer_id]
    assert list(Charge.objects.values_list("customer_id", flat=True)) == [other.stripe_customer_id]


def test_who_pays_or_is_on_hold_is_not_erased(world: World) -> None:
    dana = world.subscriber("dana")
    with pytest.raises(BadInput, match="subscription"):
        privacy.erase(dana, **BY)
    leave(world, dana)
    hold = overrides.hold(profile=dana, **BY)
    with pytest.raises(BadInput, match="hold"):
        privacy.erase(dana, **BY)
    overrides.lift(override=hold, **BY)
    assert privacy.refuse_erasing(UserProfile.objects.get(pk=dana.pk)) == ""
    back = world.signup("back")
    assert User.objects.get(pk=dana.user_id).username == "dana"
    assert back.email == "back@example.com"


def test_an_erased_person_is_in_no_table_and_not_in_keycloak(world: World) -> None:
    """security 5: no erasure, in console or command."""
    gone, other = world.subscriber("quentin"), world.subscriber("other")
    customer, account = gone.stripe_customer_id or "", gone.keycloak_id or ""
    leave(world, gone)
    assert columns_with("quentin@example.com")
    out = StringIO()
    call_command("erase_person", str(gone.pk), "--actor", "staff:ada", "--reason", "asked", stdout=out)
    assert "quentin" not in out.getvalue()
    world.deliver()
    world.pass_time(days=2)
    world.deliver()
    assert columns_with("quentin") == set()
    assert world.admin("GET", f"/users/{account}").status_code == 404
    assert world.admin("GET", f"/users/{other.keycloak_id}").status_code == 200
    assert not getattr(world.shop.v1.customers.retrieve(customer), "deleted", False), "its invoices are kept"
    assert not Seat.objects.filter(profile=gone).exclude(state="released").exists()
    assert not Job.objects.filter(state__in=["blocked", "dead"]).exists()
    first = json.loads(out.getvalue())
    again = privacy.erase(gone, **BY)
    assert (again.pk, again.at < clock.now()) == (first["receipt"], True)
    assert world.subscriber("quentin").pk != gone.pk, "the name and the address are free again"


def test_rows_of_imports_that_name_somebody_go_with_them_also_of_those_they_were_not_made_by(world: World) -> None:
    gone, other = world.subscriber("quentin"), world.subscriber("other")
    run = CustomerImport.objects.create(source="csv", actor="staff:ada", reason="we moved", created_at=clock.now())
    named = (
        {"email": "Quentin@example.com"},
        {"customer_id": gone.stripe_customer_id},
        {"keycloak_id": gone.keycloak_id},
        {"email": other.email},
    )
    for number, named_row in enumerate(named):
        ImportRow.objects.create(run=run, number=number, **named_row)
    leave(world, gone)
    privacy.erase(UserProfile.objects.get(pk=gone.pk), **BY)
    assert list(run.rows.values_list("email", flat=True)) == [other.email]


def test_somebody_called_like_a_pseudonym_is_in_nobodys_way(world: World) -> None:
    """We give such a name to nobody; an account that was in Keycloak before, or an import, may have it."""
    gone, other = world.subscriber("quentin"), world.subscriber("other")
    User.objects.filter(pk=other.user_id).update(username=f"erased-{gone.pk}")
    leave(world, gone)
    privacy.erase(UserProfile.objects.get(pk=gone.pk), **BY)
    gone, other = (UserProfile.objects.select_related("user").get(pk=one.pk) for one in (gone, other))
    assert (other.user.username, other.email) == (f"erased-{gone.pk}", "other@example.com")
    assert gone.user.username.startswith(f"erased-{gone.pk}-")
    with pytest.raises(BadInput, match="reserved"):
        names.username(f"erased-{gone.pk}")


def test_expired_customers_are_erased_after_a_year_and_nobody_else(world: World) -> None:
    gone, stays = world.subscriber("quentin"), world.subscriber("other")
    leave(world, gone)
    world.pass_time(days=200)
    world.deliver()
    world.sweep()
    retention.prune_all()
    gone.refresh_from_db()
    assert (gone.access_state, gone.email) == ("expired", "quentin@example.com")
    theirs = Notification.objects.filter(profile=stays).order_by("pk")[:1].get()
    Notification.objects.filter(pk=theirs.pk).update(
        to=gone.email, created_at=clock.now()
    )  # was another's address once
    UserProfile.objects.update(final_expiry_at=clock.now() - dt.timedelta(days=366))
    retention.prune_all()
    retention.prune_all()
    world.work()
    gone.refresh_from_db()
    stays.refresh_from_db()
    assert (gone.email, stays.email) == (f"erased-{gone.pk}@erased.invalid", "other@example.com")
    assert Notification.objects.filter(pk=theirs.pk).exists()
