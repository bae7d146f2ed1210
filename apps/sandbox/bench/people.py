"""The rows of seed_bench: who they are, what they pay, where they sit, and what happened to them within a year."""

from allauth.socialaccount.models import SocialAccount
from django.contrib.auth.models import Group, User
from django.db.models import Model

from apps.access import terms
from apps.access.models import LastSync, TermsChange
from apps.accounts.models import Signup, UserProfile
from apps.billing.models import InboundEvent, Subscription, UserSubscriptionItem
from apps.billing.stripe_objects import MIRRORED
from apps.catalog.models import Product, ProductPrice
from apps.core.models import AuditEntry, Job
from apps.instances.models import Instance, Seat
from apps.notifications.models import Notification
from apps.sandbox.bench.expressions import (
    ACCESS,
    CHANGED,
    DAY,
    EXPIRY_DAYS,
    FIRST,
    GRACE_DAYS,
    HAS_ACCESS,
    HAS_ENDED,
    HAS_EXPIRED,
    IS_LATE,
    JOINED,
    LAST,
    MAIL,
    PERIOD_END,
    STATUS,
    instance_of,
    one_of,
)
from apps.sandbox.bench.history import App, insert_history
from apps.sandbox.bench.rows import execute, indexes_made_at_the_end, insert

STRIPE = {model.__name__: model for model in MIRRORED}
PER_NEXTCLOUD, PER_VAULTWARDEN = 1000, 3000  # seats on an instance
PERSONAL, STORAGE, NEXTCLOUD, VAULTWARDEN = "personal", "storage_100", "nextcloud", "vaultwarden"


def insert_all(rows: int) -> None:
    """Within a transaction: `rows` subscribers and everything of theirs."""
    with indexes_made_at_the_end(
        User, UserProfile, Subscription, UserSubscriptionItem, Seat, InboundEvent, Job, AuditEntry, Notification,
        SocialAccount, Signup, LastSync, STRIPE["Customer"], STRIPE["Subscription"], STRIPE["Invoice"],
    ):  # fmt: skip
        products = _catalog()
        _terms()
        ids: dict[type[Model], int] = {model: _last_id(model) for model in (User, UserProfile, Subscription, Instance)}
        everybody = f"generate_series(1::bigint, {rows}) n"
        _people(everybody, ids)
        _money(everybody, ids, products)
        apps = _seats(rows, ids, products)
        insert_history(rows, ids[UserProfile], apps)
    for model in ids:
        table = model._meta.db_table
        execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table} HAVING max(id) > 0")  # noqa: S608


def _catalog() -> dict[str, int]:
    """The products they have, made where there is no catalog; their ids."""
    apps = {NEXTCLOUD: "Nextcloud", VAULTWARDEN: "Vaultwarden"}
    offers = {PERSONAL: ("Personal", "plan", 500), STORAGE: ("100 GB more", "storage", 150)}
    ids = {}
    for slug, name in apps.items():
        defaults = {"name": name, "is_app": True, "needs_instance": True}
        ids[slug] = Product.objects.get_or_create(slug=slug, defaults=defaults)[0].pk
    for slug, (name, placement, amount) in offers.items():
        defaults = {"name": name, "placement": placement}
        product, new = Product.objects.get_or_create(slug=slug, defaults=defaults)
        ids[slug] = product.pk
        if new:
            price = {"stripe_price_id": f"price_bench_{slug}", "interval": "month", "unit_amount": amount}
            ProductPrice.objects.create(product=product, **price)
    Product.objects.get(slug=PERSONAL).includes.add(ids[NEXTCLOUD])
    return ids


def _terms() -> None:
    """Some days of grace, without which nobody would be in it."""
    general = TermsChange(
        grace_days=GRACE_DAYS,
        expiry_days=EXPIRY_DAYS,
        recovery_hours=72,
        paused_collection="keep",
        lost_dispute="suspend",
    )
    terms.save_change(general, actor="staff:ada", reason="terms of the benchmark")


def _last_id(model: type[Model]) -> int:
    return int(execute(f"SELECT coalesce(max(id), 0) FROM {model._meta.db_table}")[0][0])  # noqa: S608


def _people(everybody: str, ids: dict[type[Model], int]) -> None:
    name = f"{one_of(FIRST)} || '.' || {one_of(LAST, 20)} || n"
    address, first, last = (
        f"{name} || '@' || {one_of(MAIL, 7)}",
        f"initcap({one_of(FIRST)})",
        f"initcap({one_of(LAST, 20)})",
    )
    user, profile = f"{ids[User]} + n", f"{ids[UserProfile]} + n"
    insert(
        User, rows=everybody, id=user, username=name, email=address, first_name=first, last_name=last, date_joined=JOINED,
    )  # fmt: skip
    insert(
        UserProfile, rows=everybody, id=profile, user_id=user, onboarding_id="md5('o' || n)::uuid", email=address,
        keycloak_id="md5('k' || n)::uuid::text", stripe_customer_id="'cus_bench' || n",
        stripe_subscription_id="'sub_bench' || n", subscription_status=STATUS, access_state=ACCESS,
        subscription_synced_at="now()", synced_at="now() - mod(n, 86400) * interval '1 second'", created_at=JOINED,
        access_until=f"CASE WHEN {IS_LATE} AND {HAS_ACCESS} THEN {CHANGED} + {GRACE_DAYS} * {DAY} END",
        final_expiry_at=f"CASE WHEN {HAS_ENDED} THEN {CHANGED} + {EXPIRY_DAYS} * {DAY} END",
        desired_generation="1", observed_generation="1",
    )  # fmt: skip
    insert(
        SocialAccount, rows=everybody, user_id=user, provider="'keycloak'", uid="md5('k' || n)::uuid::text",
        last_login="now()", date_joined=JOINED,
    )  # fmt: skip
    insert(
        Signup, rows=everybody, id="md5('s' || n)::uuid", state="'paid'", first_name=first, last_name=last, username=name,
        email=address, email_proven_at=JOINED, basket="""'{"personal": 1}'::jsonb""", terms_version="'1'",
        terms_accepted_at=JOINED, profile_id=profile, created_at=JOINED, ended_at=JOINED,
        checkout_session_id="'cs_bench' || n",
    )  # fmt: skip
    insert(LastSync, rows=everybody, profile_id=profile, generation="1", ended_at="now()")


def _money(everybody: str, ids: dict[type[Model], int], products: dict[str, int]) -> None:
    insert(
        Subscription, rows=everybody, id=f"{ids[Subscription]} + n", stripe_id="'sub_bench' || n",
        customer_id="'cus_bench' || n", status=STATUS, stripe_created_at=JOINED, current_period_end=PERIOD_END,
        past_due_since=f"CASE WHEN {IS_LATE} THEN {CHANGED} END", fetched_at="now()",
        ended_at=f"CASE WHEN {HAS_ENDED} THEN {CHANGED} END",
    )  # fmt: skip
    for slug, amount, some in ((PERSONAL, 500, "n > 0"), (STORAGE, 150, "mod(n, 2) = 0")):
        insert(
            UserSubscriptionItem, rows=f"{everybody} WHERE {some}", profile_id=f"{ids[UserProfile]} + n",
            subscription_id=f"{ids[Subscription]} + n", stripe_item_id=f"'si_{slug}_' || n",
            stripe_price_id=f"'price_bench_{slug}'", product_id=str(products[slug]), unit_amount=str(amount),
            currency="'eur'", interval="'month'", current_period_end=PERIOD_END,
        )  # fmt: skip
    for name, prefix in (("Customer", "cus"), ("Subscription", "sub"), ("Invoice", "in")):
        data = f"""jsonb_build_object('id', '{prefix}_bench' || n, 'object', '{name.lower()}', 'status', {STATUS},
            'currency', 'eur', 'amount_due', 500, 'customer', 'cus_bench' || n, 'number', 'B-' || n, 'lines',
            (SELECT jsonb_agg(jsonb_build_object('id', 'li_' || md5(k::text || n), 'amount', 500, 'description',
                'Personal, monthly', 'quantity', 1, 'price', 'price_bench_personal')) FROM generate_series(1, 3) k))"""  # noqa: S608
        others = {} if name == "Customer" else {"customer_id": "'cus_bench' || n"}
        others |= {"subscription_id": "'sub_bench' || n"} if name == "Invoice" else {}
        insert(
            STRIPE[name], rows=everybody, id=f"'{prefix}_bench' || n", created=JOINED, stripe_data=data,
            djstripe_created="now()", djstripe_updated="now()", livemode="false", **others,
        )  # fmt: skip


def _seats(rows: int, ids: dict[type[Model], int], products: dict[str, int]) -> tuple[App, App]:
    """Everybody but the expired on a Nextcloud, a third on a Vaultwarden; the counters are what the rows say."""
    before = ids[Instance]
    plan, extra = (
        App(slug, rows // (size * one_in) + 1, one_in)
        for slug, size, one_in in ((NEXTCLOUD, PER_NEXTCLOUD, 1), (VAULTWARDEN, PER_VAULTWARDEN, 3))
    )
    for app, size in ((plan, PER_NEXTCLOUD), (extra, PER_VAULTWARDEN)):
        slug, count = app.slug, app.count
        numbers = f"generate_series(1::bigint, {count}) i"
        insert(Group, rows=numbers, name=f"'/frontdesk/{slug}-bench-' || i")
        joined = f"{numbers} JOIN auth_group g ON g.name = '/frontdesk/{slug}-bench-' || i"
        insert(
            Instance, rows=joined, id=f"{before} + i", slug=f"'{slug}-bench-' || i", name=f"'{slug.title()} ' || i",
            product_id=str(products[slug]), url=f"'https://{slug}-' || i || '.example.com/'", soft_cap=str(size),
            allocation_cap=str(size + size // 5), hard_cap=str(size + size // 4), group_id="g.id",
        )  # fmt: skip
        insert(
            Seat, rows=f"generate_series(1::bigint, {rows}) n WHERE NOT {HAS_EXPIRED} AND mod(n, {app.one_in}) = 0",
            profile_id=f"{ids[UserProfile]} + n", product_id=str(products[slug]),
            instance_id=f"{before} + {instance_of(count, app.one_in)}", created_at=JOINED,
            changed_at=f"CASE WHEN {HAS_ACCESS} THEN {JOINED} ELSE {CHANGED} END",
            state=f"CASE WHEN {HAS_ACCESS} THEN 'assigned' ELSE 'retained' END",
        )  # fmt: skip
        before += count
    execute("""UPDATE instances_instance i SET allocated_seats = assigned_now + retained_now, assigned = assigned_now,
            retained = retained_now
        FROM (SELECT instance_id, count(*) FILTER (WHERE state = 'assigned') AS assigned_now,
            count(*) FILTER (WHERE state = 'retained') AS retained_now FROM instances_seat GROUP BY 1) found
        WHERE found.instance_id = i.id""")
    return plan, extra
