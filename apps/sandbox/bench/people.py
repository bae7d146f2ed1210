"""The rows of seed_bench: who they are, what they pay, where they sit, and what happened to them within a year."""

from allauth.socialaccount.models import SocialAccount
from django.contrib.auth.models import Group, User
from django.db.models import Model

from apps.access.models import LastSync
from apps.accounts.models import Signup, UserProfile
from apps.billing.models import InboundEvent, Subscription, UserSubscriptionItem
from apps.billing.stripe_objects import MIRRORED
from apps.catalog.models import Product, ProductPrice
from apps.core.models import AuditEntry, Job
from apps.instances.models import Instance, Seat
from apps.notifications.models import Notification
from apps.sandbox.bench.rows import execute, indexes_made_at_the_end, insert

STRIPE = {model.__name__: model for model in MIRRORED}
FIRST = "ada dana elif finn gita hugo ines jonas kofi lena marek nadia omar paula quinn rosa sven tara umut vera"
LAST = "abel berg conti diaz evans fuchs gruber haas iversen jansen klein lopez moreau novak okafor petit romano sato"
MAIL = "posteo.example mailbox.example gmail.example example.org"
PER_NEXTCLOUD, PER_VAULTWARDEN = 1000, 3000  # seats on an instance
# Out of 100: how many have each access state, and what their subscription says.
STATES = (
    (85, "active", "active"), (88, "grace", "past_due"), (92, "suspended", "past_due"), (97, "canceled", "canceled"),
    (100, "expired", "canceled"),
)  # fmt: skip
DAY = "interval '1 day'"
PERIOD_END = f"now() + (1 + mod(n, 29)) * {DAY}"
JOINED = f"now() - (1 + mod(n * 7919, 365)) * {DAY}"
PERSONAL, STORAGE, NEXTCLOUD, VAULTWARDEN = "personal", "storage_100", "nextcloud", "vaultwarden"


def insert_all(rows: int) -> None:
    """Within a transaction: `rows` subscribers and everything of theirs."""
    with indexes_made_at_the_end(
        User, UserProfile, Subscription, UserSubscriptionItem, Seat, InboundEvent, Job, AuditEntry, Notification,
        SocialAccount, Signup, LastSync, STRIPE["Customer"], STRIPE["Subscription"], STRIPE["Invoice"],
    ):  # fmt: skip
        products = _catalog()
        ids: dict[type[Model], int] = {model: _last_id(model) for model in (User, UserProfile, Subscription, Instance)}
        everybody = f"generate_series(1::bigint, {rows}) n"
        _people(everybody, ids)
        _money(everybody, ids, products)
        _seats(rows, ids, products)
        _history(everybody, ids)
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


def _last_id(model: type[Model]) -> int:
    return int(execute(f"SELECT coalesce(max(id), 0) FROM {model._meta.db_table}")[0][0])  # noqa: S608


def _one_of(words: str, divisor: int = 1) -> str:
    """A word for each number."""
    array = ", ".join(f"'{word}'" for word in words.split())
    return f"(ARRAY[{array}])[1 + mod(n / {divisor}, {len(words.split())})]"


def _by_state(position: int) -> str:
    cases = " ".join(f"WHEN mod(n, 100) < {row[0]} THEN '{row[position]}'" for row in STATES)
    return f"CASE {cases} END"


def _people(everybody: str, ids: dict[type[Model], int]) -> None:
    name = f"{_one_of(FIRST)} || '.' || {_one_of(LAST, 20)} || n"
    address, first, last = (
        f"{name} || '@' || {_one_of(MAIL, 7)}",
        f"initcap({_one_of(FIRST)})",
        f"initcap({_one_of(LAST, 20)})",
    )
    user, profile = f"{ids[User]} + n", f"{ids[UserProfile]} + n"
    insert(
        User, rows=everybody, id=user, username=name, email=address, first_name=first, last_name=last, date_joined=JOINED,
    )  # fmt: skip
    insert(
        UserProfile, rows=everybody, id=profile, user_id=user, onboarding_id="md5('o' || n)::uuid", email=address,
        keycloak_id="md5('k' || n)::uuid::text", stripe_customer_id="'cus_bench' || n",
        stripe_subscription_id="'sub_bench' || n", subscription_status=_by_state(2), access_state=_by_state(1),
        subscription_synced_at="now()", synced_at="now() - mod(n, 86400) * interval '1 second'", created_at=JOINED,
        access_until=f"CASE WHEN mod(n, 100) BETWEEN 85 AND 91 THEN {PERIOD_END} END",
        final_expiry_at=f"CASE WHEN mod(n, 100) BETWEEN 92 AND 96 THEN {PERIOD_END} END",
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
        customer_id="'cus_bench' || n", status=_by_state(2), stripe_created_at=JOINED, current_period_end=PERIOD_END,
        past_due_since="CASE WHEN mod(n, 100) BETWEEN 85 AND 91 THEN now() END", fetched_at="now()",
        ended_at=f"CASE WHEN mod(n, 100) >= 92 THEN now() - {DAY} END",
    )  # fmt: skip
    for slug, amount, some in ((PERSONAL, 500, "n > 0"), (STORAGE, 150, "mod(n, 2) = 0")):
        insert(
            UserSubscriptionItem, rows=f"{everybody} WHERE {some}", profile_id=f"{ids[UserProfile]} + n",
            subscription_id=f"{ids[Subscription]} + n", stripe_item_id=f"'si_{slug}_' || n",
            stripe_price_id=f"'price_bench_{slug}'", product_id=str(products[slug]), unit_amount=str(amount),
            currency="'eur'", interval="'month'", current_period_end=PERIOD_END,
        )  # fmt: skip
    for name, prefix in (("Customer", "cus"), ("Subscription", "sub"), ("Invoice", "in")):
        data = f"""jsonb_build_object('id', '{prefix}_bench' || n, 'object', '{name.lower()}', 'status', {_by_state(2)},
            'currency', 'eur', 'amount_due', 500, 'customer', 'cus_bench' || n, 'number', 'B-' || n, 'lines',
            (SELECT jsonb_agg(jsonb_build_object('id', 'li_' || md5(k::text || n), 'amount', 500, 'description',
                'Personal, monthly', 'quantity', 1, 'price', 'price_bench_personal')) FROM generate_series(1, 3) k))"""  # noqa: S608
        others = {} if name == "Customer" else {"customer_id": "'cus_bench' || n"}
        others |= {"subscription_id": "'sub_bench' || n"} if name == "Invoice" else {}
        insert(
            STRIPE[name], rows=everybody, id=f"'{prefix}_bench' || n", created=JOINED, stripe_data=data,
            djstripe_created="now()", djstripe_updated="now()", livemode="false", **others,
        )  # fmt: skip


def _seats(rows: int, ids: dict[type[Model], int], products: dict[str, int]) -> None:
    """Everybody but the expired on a Nextcloud, a third on a Vaultwarden; the counters are what the rows say."""
    before = ids[Instance]
    for slug, size, one_in in ((NEXTCLOUD, PER_NEXTCLOUD, 1), (VAULTWARDEN, PER_VAULTWARDEN, 3)):
        count = rows // (size * one_in) + 1
        numbers = f"generate_series(1::bigint, {count}) i"
        insert(Group, rows=numbers, name=f"'/frontdesk/{slug}-bench-' || i")
        joined = f"{numbers} JOIN auth_group g ON g.name = '/frontdesk/{slug}-bench-' || i"
        insert(
            Instance, rows=joined, id=f"{before} + i", slug=f"'{slug}-bench-' || i", name=f"'{slug.title()} ' || i",
            product_id=str(products[slug]), url=f"'https://{slug}-' || i || '.example.com/'", soft_cap=str(size),
            allocation_cap=str(size + size // 5), hard_cap=str(size + size // 4), group_id="g.id",
        )  # fmt: skip
        insert(
            Seat, rows=f"generate_series(1::bigint, {rows}) n WHERE mod(n, 100) < 97 AND mod(n, {one_in}) = 0",
            profile_id=f"{ids[UserProfile]} + n", product_id=str(products[slug]),
            instance_id=f"{before} + 1 + mod(n / {one_in}, {count})", created_at=JOINED, changed_at=JOINED,
            state="CASE WHEN mod(n, 100) < 88 THEN 'assigned' ELSE 'retained' END",
        )  # fmt: skip
        before += count
    execute("""UPDATE instances_instance i SET allocated_seats = assigned_now + retained_now, assigned = assigned_now,
            retained = retained_now
        FROM (SELECT instance_id, count(*) FILTER (WHERE state = 'assigned') AS assigned_now,
            count(*) FILTER (WHERE state = 'retained') AS retained_now FROM instances_seat GROUP BY 1) found
        WHERE found.instance_id = i.id""")


def _history(everybody: str, ids: dict[type[Model], int]) -> None:
    """Three events of the last 90 days (a body for two weeks), three jobs, eight lines of the timeline, two emails."""
    profile = f"{ids[UserProfile]} + n"
    at = f"now() - (30 * (k - 1) + mod(n, 30)) * {DAY}"
    body = """CASE WHEN k = 1 AND mod(n, 30) < 14 THEN '{"object": "event", "id": "evt_bench' || n || '", "data": ' ||
        (SELECT string_agg(md5(j || '-' || n) || '": {"amount": 500, "currency": "eur", "description": null, "id": "', '')
         FROM generate_series(1, 60) j) || '}}' ELSE '' END"""
    insert(
        InboundEvent, rows=f"{everybody}, generate_series(1, 3) k", stripe_event_id="'evt_bench' || k || '_' || n",
        type="CASE k WHEN 1 THEN 'invoice.paid' WHEN 2 THEN 'customer.subscription.updated' ELSE 'charge.updated' END",
        object_id="CASE k WHEN 1 THEN 'in_bench' WHEN 2 THEN 'sub_bench' ELSE 'ch_bench' END || n",
        customer_id="'cus_bench' || n", api_version="'2026-08-26.dahlia'", stripe_created_at=at, received_at=at,
        handled_at=at, state="CASE k WHEN 3 THEN 'ignored' ELSE 'handled' END", body=body,
    )  # fmt: skip
    insert(
        Job, rows=f"{everybody}, generate_series(1, 3) k", kind="CASE k WHEN 1 THEN 'handle_event' ELSE 'reconcile' END",
        key=f"CASE k WHEN 1 THEN 'evt_bench1_' || n ELSE ({profile})::text END", lane=f"'profile:' || ({profile})",
        state="'done'", not_before=at, created_at=at, started_at=at, finished_at=at, attempts="1", runs="1",
    )  # fmt: skip
    insert(
        Job, rows=f"{everybody} WHERE mod(n, 100) < 6", kind="'reconcile'", key=f"({profile})::text",
        lane=f"'profile:' || ({profile})", not_before=PERIOD_END, created_at="now()",
    )  # fmt: skip
    done = _one_of("signed_up checkout_paid account_created seat_assigned").replace("n / 1", "k")
    insert(
        AuditEntry, rows=f"{everybody}, generate_series(1, 8) k", at=JOINED, subject_kind="'profile'",
        subject_id=f"({profile})::text", action=f"CASE k WHEN 8 THEN 'access_changed' ELSE {done} END",
        before="""CASE k WHEN 8 THEN '{"state": "none"}'::jsonb ELSE '{}' END""",
        after=f"CASE k WHEN 8 THEN jsonb_build_object('state', {_by_state(1)}) ELSE '{{}}' END",
        actor="CASE mod(n, 50) WHEN 0 THEN 'staff:ada' ELSE 'system' END", hash="md5('h' || n) || md5('i' || k)",
        prev_hash="md5('g' || n) || md5('i' || k)",
    )  # fmt: skip
    insert(
        Notification, rows=f"{everybody}, generate_series(1, 2) k", key="'bench-' || k || '-' || n", template="'welcome'",
        profile_id=profile, to=f"{_one_of(FIRST)} || '.' || n || '@example.org'", state="'sent'", created_at=JOINED,
        sent_at=JOINED, provider_id="'<' || md5('m' || n) || '@mail.example.com>'",
    )  # fmt: skip
