"""Who gets what at every address: the table that test_every_url.py compares with the real answers.

A new address needs a line here, and so does a new model, action or part of a row's page in the console. How to read it:

- An answer is a status, or `>name`: sent on to the address of that name. With a `!` the request changes something; without
  one it changes nothing. HEAD answers as GET does; OPTIONS too, or 405. Other methods get 405 at every address.
- SITE has the answers of the visitor, the owner, the other subscriber and staff, in this order; one word is for all of them.
- CONSOLE, MODELS and ACTIONS name the least role that may do it. Others get REFUSED, and other staff 403.
- A POST is a form that is filled in as far as it could be, with the CSRF token. Without the token it gets 403
  everywhere but at NO_TOKEN.
"""

from collections.abc import Iterator
from typing import NamedTuple

STAFF = ("roleless", "viewer", "support", "operator", "admin")  # each may do what the one before may
PEOPLE = (
    "visitor",  # not logged in
    "owner",  # a subscriber; signed up, and confirmed the address for a recovery, in this browser
    "other",  # another subscriber, who did neither here
    *STAFF,
)
REFUSED = {"visitor": ">admin:login", "owner": "403", "other": "403"}
NO = "405"  # the method

SITE = {
    # address                                GET and HEAD                                      POST
    "": (">dashboard", NO),
    "language/": (NO, ">home"),
    "health/": ("200", NO),
    "health/live": ("200", NO),
    # the customer API: for systems with a key, which nobody here has
    "api/v1/openapi.json": ("200", NO),
    "api/v1/customers": ("401", NO),
    "api/v1/customers/<number>": ("401", NO),
    "api/v1/customers/<number>/history": ("401", NO),
    "api/v1/changes": ("401", NO),
    "api/.*": ("404", NO),
    "metrics": ("401", NO),  # 200 for Prometheus, which has a token
    "static/admin/css/base.css": ("200", NO),
    "robots.txt": ("200", NO),
    "sitemap.xml": ("200", NO),
    "how-billing-works/": ("200", NO),
    # --- signing up: the owner has paid already, nobody else has begun
    "onboarding/": ("200", ">onboarding-plan!"),
    "onboarding/plan/": ("200 >onboarding-success 200 200", "400 >onboarding-success 400 400"),  # without a choice
    "onboarding/addons/": (
        ">onboarding-welcome >onboarding-success >onboarding-welcome >onboarding-welcome",
        ">onboarding-welcome >onboarding-success >onboarding-welcome >onboarding-welcome",
    ),
    "onboarding/checkout/": (
        ">onboarding-welcome >onboarding-success >onboarding-welcome >onboarding-welcome",
        ">onboarding-welcome >onboarding-success >onboarding-welcome >onboarding-welcome",
    ),
    "onboarding/account/": (">login >dashboard >dashboard 200", ">login >dashboard >dashboard 200"),
    "onboarding/confirm/": (">onboarding-welcome", ">onboarding-welcome"),  # nobody has asked for a code here
    "onboarding/checkout/send-code/": (NO, "409"),
    "onboarding/checkout/verify-code/": (NO, "409"),
    "onboarding/checkout/validate/": (NO, "409"),
    "onboarding/checkout/session/": (NO, "409"),
    "onboarding/cancel/": ("200", NO),
    "onboarding/success/": ("200", NO),  # the owner's own; to all others one page that says nothing
    "onboarding/success/state/": ("404 200 404 404", NO),
    "onboarding/success/resend-password/": (NO, "403 200! 403 403"),
    "onboarding/brand.css": ("200", NO),
    "onboarding/webhook/": (NO, "400"),
    "mailgun/webhook/": (NO, "400"),
    # --- the waitlist: anyone who has the link from the email
    "onboarding/waitlist/": ("200", NO),
    "onboarding/waitlist/submit/": (NO, "200!"),
    "onboarding/waitlist/confirm/<token>/": ("200", ">itself!"),
    "onboarding/waitlist/leave/<token>/": ("200", ">itself!"),
    "onboarding/waitlist/invitation/<token>/": ("200", ">onboarding-welcome!"),
    # --- the operator's legal texts, here those of the demo
    "legal/<name>/": ("200", NO),
    "legal/<name>/<version>/": ("200", NO),
    # --- an invitation to the owner's subscription: anyone who has the link, but for the owner
    "onboarding/join/<token>/": ("200", ">itself! 409 >dashboard! >itself!"),
    # --- ending a contract: whose mailbox is proven; the form of the table names none
    "contracts/cancel/": ("200", "403 400 400 403"),
    "contracts/withdraw/": ("200", "403 400 400 403"),
    # --- recovery: the owner has confirmed the address
    "recovery/": ("200", "400"),  # no address typed
    "recovery/send-code/": (NO, "200!"),
    "recovery/verify-code/": (NO, "400"),
    "recovery/state/": ("404 200 404 404", NO),
    "recovery/checkout-session/": (NO, "403 409 403 403"),
    "recovery/password/": (NO, "403 200! 403 403"),
    "recovery/sign-up-again/": (NO, ">recovery"),
    "recovery/leave/": (NO, ">recovery"),
    # --- subscribers: each sees and does what is their own
    "dashboard/": (">login 200 200 >admin:index", NO),
    "dashboard/reset-password/": (NO, "401 200! 200! 403"),
    "dashboard/billing/": (NO, ">login >dashboard >dashboard >dashboard"),  # Stripe, which would be next, is not there
    "dashboard/plan/": (">login 200 200 >admin:index", NO),
    "dashboard/plan/preview/": (">login >own-plan >own-plan >admin:index", NO),  # of no choice
    "dashboard/plan/change/": (NO, ">login >own-plan >own-plan >admin:index"),
    "dashboard/plan/cancel/": (">login 200 200 >admin:index", NO),
    "dashboard/plan/cancel/confirm/": (NO, ">login >own-cancel >own-cancel >admin:index"),  # of none of theirs
    "dashboard/plan/cancel/undo/": (NO, ">login >own-cancel >own-cancel >admin:index"),
    "dashboard/invoices/": (">login 200 200 >admin:index", NO),
    "dashboard/invoices/show/": (">login >own-invoices >own-invoices >admin:index", NO),  # of no invoice that is theirs
    "dashboard/account/": (">login 200 200 >admin:index", NO),
    "dashboard/account/name/": (NO, ">login >own-account! >own-account! >admin:index"),
    "dashboard/account/address/": (">login 200 200 >admin:index", ">login 400 400 >admin:index"),
    "dashboard/objection/<token>/": ("200", "200!"),  # anyone who has the link from the email
    "dashboard/account/data/": (">login 200 200 >admin:index", NO),
    "dashboard/account/data/ask/": (NO, ">login >own-data! >own-data! >admin:index"),
    "dashboard/account/data/read/": (">login >own-data >own-data >admin:index", NO),  # there is none yet
    "dashboard/account/data/file/": (">login >own-data >own-data >admin:index", NO),
    "dashboard/account/delete/": (">login 200 200 >admin:index", NO),
    "dashboard/account/delete/confirm/": (NO, ">login >own-delete! 400 >admin:index"),  # the owner's username is typed
    "dashboard/moves/": (">login 200 200 >admin:index", NO),
    "dashboard/moves/answer/": (NO, ">login >own-moves! >own-moves >admin:index"),  # to a question to the owner
    "dashboard/people/": (">login 200 200 >admin:index", NO),
    "dashboard/people/invite/": (NO, ">login >own-people! >own-people! >admin:index"),
    "dashboard/people/end/": (NO, ">login >own-people! >own-people >admin:index"),  # an invitation of the owner's
    "dashboard/people/leave/": (NO, ">login >own-people >own-people >admin:index"),  # nobody pays for them
    "dashboard/sessions/": (">login 200 200 >admin:sessions", NO),
    "dashboard/sessions/end/": (NO, ">login >own-sessions! >own-sessions >admin:sessions"),  # one of the owner's
    "dashboard/sessions/end-all/": (NO, ">login >home! >home! >admin:sessions"),
    # --- logging in and out
    "accounts/login/": (">login", NO),
    "accounts/welcome/": (">dashboard", NO),
    "accounts/oidc/<provider_id>/login/": (">keycloak", NO),
    "accounts/oidc/<provider_id>/login/callback/": ("401", NO),  # without an answer of Keycloak's
    "accounts/.*": ("404", "404"),
    "logout/": (NO, ">home >keycloak! >keycloak! >keycloak!"),
    "oidc/backchannel-logout/": (NO, "400"),
    "admin/login/": (">login 403 403 >admin:index", NO),
    "admin/logout/": (">admin:index 403 403 405", ">admin:index 403 403 >logout"),
}
GET_ALONE = {"accounts/oidc/<provider_id>/login/callback/"}  # and not HEAD
SHUT = "accounts/"  # what else allauth has there gets the answers of accounts/.*
# Where a POST without the token is not answered by 403: what is signed otherwise, and what is answered before anything is asked.
NO_TOKEN = {"onboarding/webhook/": "400", "mailgun/webhook/": "400", "oidc/backchannel-logout/": "400"} | dict.fromkeys(
    (
        "health/",
        "health/live",
        "metrics",
        "static/admin/css/base.css",
        "api/v1/openapi.json",
        "api/v1/customers",
        "api/v1/customers/<number>",
        "api/v1/customers/<number>/history",
        "api/v1/changes",
        "api/.*",
    ),
    NO,
)

CONSOLE = {
    # address below admin/                   least role    GET     POST    other staff, where not 403
    "": ("roleless", "200", NO),
    "search/": ("roleless", "200", NO),  # it finds what one may see
    "sessions/": ("roleless", "200", NO),
    "roles/": ("viewer", "200", NO),
    "roles/<role>/view/": ("admin", NO, ">admin:index!"),
    "sessions/<which>/end/": ("roleless", NO, ">admin:sessions"),  # of a subscriber: nothing ends
    "accounts/userprofile/export/": ("operator", "200", "200!"),
    "operations/customerimport/example/": ("viewer", "200", NO),
    "accounts/userprofile/<object_id>/personal-data/": ("operator", "200", "200!"),
    "operations/termspreview/<object_id>/export/": ("operator", "200", "200!"),
    "comparisons/span/": ("operator", "200", NO),
    "email-previews/": ("roleless", "200", NO),
    "inbox/": ("viewer", "200", NO),
    "manual/": ("roleless", "200", NO),
    "manual/<chapter>/": ("roleless", "200", NO),
    "schedules/": ("viewer", "200", NO),
    "capacity/": ("viewer", "200", NO),
    "capacity/what-if/": ("viewer", "200", NO),
    "reports/revenue/": ("viewer", "200", NO),
    "reports/revenue/export/": ("operator", "200", "200!"),
    "reports/churn/": ("viewer", "200", NO),
    "reports/churn/export/": ("operator", "200", "200!"),
    "reports/recovered/": ("viewer", "200", NO),
    "reports/recovered/export/": ("operator", "200", "200!"),
    "reports/coupons/": ("viewer", "200", NO),
    "reports/coupons/export/": ("operator", "200", "200!"),
    "waitlist/plan/": ("operator", "200", NO),
    "realm/": ("operator", "200", NO),
    "realm/findings/": ("operator", "200", NO),
    "realm/systems/": ("operator", "200", NO),
    "realm/mail/": ("operator", "200", "200!"),
    "jsi18n/": ("roleless", "200", NO),
    "<app_label>/": ("viewer", "200", NO, "404"),
    # --- Django's, of no use here
    "autocomplete/": ("roleless", "404", NO),
    "password_change/": ("roleless", "404", NO),
    "password_change/done/": ("roleless", "404", NO),
    "r/<content_type_id>/<object_id>/": ("roleless", "404", NO),
    "<url>": ("roleless", "404", NO),
}

# Every model the console shows, all of them to every role; the parts of a row's page that are loaded separately.
MODELS = {
    "access.accessfreeze": "", "access.accessoverride": "", "access.heldbackloss": "", "access.termschange": "", "accounts.signup": "", "accounts.userprofile": "plan last-sync tab timeline three-way payment-preview grant-plan receipt",
    "accounts.privacyrequest": "", "accounts.legalhold": "", "accounts.membership": "", "auth.group": "", "auth.user": "",
    "billing.inboundevent": "", "catalog.product": "", "catalog.productprice": "", "core.attentionitem": "", "core.auditentry": "", "core.comparisonrun": "",
    "core.job": "", "core.lawcheck": "", "core.outage": "", "core.restorecheck": "", "djstripe.charge": "", "djstripe.customer": "", "djstripe.dispute": "", "djstripe.invoice": "",
    "djstripe.paymentmethod": "", "djstripe.price": "", "djstripe.product": "", "djstripe.refund": "", "djstripe.subscription": "",
    "instances.instance": "", "instances.seat": "", "instances.seatwait": "", "instances.webhookdelivery": "", "notifications.notification": "",
    "onboarding.waitlistentry": "", "operations.approvalrequest": "plan", "operations.customerapikey": "", "operations.customerimport": "progress", "operations.importrow": "", "operations.drift": "", "operations.safeguardreview": "", "operations.seatmove": "", "operations.seatplan": "", "operations.syncrun": "progress", "operations.termspreview": "progress",
}  # fmt: skip
ADDED_AND_EDITED = {"catalog.product": "admin", "catalog.productprice": "admin"}
ADDED = ADDED_AND_EDITED | {"instances.instance": "admin", "access.termschange": "admin"}

# Every action and its least role. It is done by a POST alone, with a reason; see test_an_action_needs_a_reason_a_fresh_login_….
ACTIONS = {
    "access.accessfreeze": {"begin": "admin", "change_end": "admin", "end": "admin"},
    "access.accessoverride": {"lift": "operator"},
    "accounts.userprofile": {
        "sync_now": "support", "sync_selected": "support", "password_mail": "support", "correct_account": "support",
        "send_code": "support", "open_window": "support", "close_window": "support", "keep_seat": "support", "extend_grace": "support", "write_note": "support",
        "retry_payment": "support", "cancel_at_period_end": "support", "undo_cancellation": "support", "refund": "operator",
        "cancel_now": "operator", "pause_payments": "operator", "resume_payments": "operator",
        "assign_seats": "operator", "end_sessions": "operator", "hold": "operator", "grant": "operator", "no_suspend": "operator", "waive_dispute": "operator",
        "record_request": "support", "legal_hold": "admin", "erase": "admin",
    },
    "accounts.privacyrequest": {"close_request": "support"}, "accounts.legalhold": {"end_hold": "admin"}, "accounts.membership": {"end_membership": "operator"},
    "billing.inboundevent": {"process_selected": "operator", "ignore_selected": "operator", "retry": "operator", "ignore_event": "operator"},
    "catalog.product": {"import_products": "admin", "rebalance": "admin"},
    "catalog.productprice": {"map_price": "admin"},
    "core.attentionitem": {
        "close": "operator", "send_test_alert": "operator", "assign": "operator", "snooze": "operator", "ignore_item": "operator",
        "bring_back": "operator", "retry_group": "operator", "assign_group": "operator", "snooze_group": "operator", "ignore_group": "operator",
    },
    "core.comparisonrun": {"fetch_span": "operator"},
    "core.job": {"retry_one": "operator", "retry_all": "operator", "retry_selected": "operator"}, "core.lawcheck": {"check_now": "operator"}, "core.restorecheck": {"finish": "admin"},
    "instances.instance": {"change_caps": "admin", "open_or_close": "admin", "change_location": "admin", "change_notice": "admin", "change_provisioning": "admin", "send_all_again": "operator", "drain": "admin"},
    "instances.seat": {"check_account": "support", "move": "operator", "release": "operator"},
    "instances.webhookdelivery": {"send_order_again": "operator", "send_orders_again": "operator"},
    "notifications.notification": {"send_one_again": "support", "send_selected_again": "support"},
    "onboarding.waitlistentry": {"invite": "operator", "invite_next": "operator", "withdraw_invitation": "operator"},
    "operations.approvalrequest": {"approve": "support", "decline": "support", "withdraw": "support"},  # of what support may do
    "operations.drift": {
        "fix": "support", "compare_now": "support", "sync_selected": "support", "ignore": "operator", "sync_differing": "operator",
    },
    "operations.safeguardreview": {"confirm": "admin"},
    "operations.customerapikey": {"make_key": "admin", "revoke": "admin"},
    "operations.customerimport": {
        "plan_file": "operator", "plan_stripe": "operator", "plan_keycloak": "operator", "start_import": "operator", "decide": "operator",
        "continue_import": "operator", "pause_import": "operator", "check_again": "operator", "undo_import": "operator", "abandon_import": "operator",
    },
    "operations.importrow": {"decide_row": "operator"},
    "operations.seatmove": {"record_answer": "operator", "try_again": "operator", "undo_move": "operator"},
    "operations.seatplan": {"continue_plan": "operator", "pause_plan": "operator", "end_plan": "admin"},
    "operations.syncrun": {"run_again": "support"}, "operations.termspreview": {"save_terms": "admin", "abandon": "admin"},
}  # fmt: skip
OF_A_LIST = {
    "make_key", "plan_file", "plan_stripe", "plan_keycloak", "begin", "process_selected", "ignore_selected", "fetch_span", "invite_next",
    "retry_selected", "retry_group", "assign_group", "snooze_group", "ignore_group",
    "sync_selected", "import_products", "map_price", "send_test_alert", "retry_all", "compare_now", "sync_differing", "check_now", "send_selected_again", "send_orders_again",
}  # fmt: skip
# They ask Stripe, which is not there: tests/field/test_price_list.py, tests/console/test_payment_actions.py.
AT_STRIPE = {
    "retry_payment", "cancel_at_period_end", "undo_cancellation", "refund", "cancel_now", "pause_payments", "resume_payments",
}  # fmt: skip
WITHOUT_WORK = {"import_products", "withdraw", "check_account", *AT_STRIPE}  # only who asked can withdraw a request
WITHOUT_REASON = {"write_note"}  # the text is the reason, and is not kept for ever
# They give and take nothing, and may be repeated: a login of the day is enough. All others need one of the last minutes.
WITHOUT_FRESH_LOGIN = {
    ("accounts_userprofile", "retry_payment"), ("accounts_userprofile", "cancel_at_period_end"), ("accounts_userprofile", "undo_cancellation"),
    ("accounts_userprofile", "record_request"), ("accounts_privacyrequest", "close_request"),
    ("accounts_userprofile", "sync_now"), ("accounts_userprofile", "password_mail"), ("accounts_userprofile", "assign_seats"), ("accounts_userprofile", "extend_grace"), ("accounts_userprofile", "write_note"),
    ("operations_drift", "compare_now"), ("core_attentionitem", "send_test_alert"), ("core_attentionitem", "close"),
    *(("core_attentionitem", name) for name in ("assign", "snooze", "ignore_item", "bring_back", "assign_group", "snooze_group", "ignore_group")),
    ("core_job", "retry_one"), ("core_comparisonrun", "fetch_span"), ("billing_inboundevent", "retry"), ("realm", "mail"), ("core_lawcheck", "check_now"),
    ("operations_termspreview", "abandon"), ("instances_seat", "check_account"), ("instances_instance", "change_location"), ("instances_instance", "change_notice"),
    *(("operations_customerimport", name) for name in ("plan_file", "plan_stripe", "plan_keycloak", "decide", "pause_import", "check_again", "abandon_import")),
    ("operations_importrow", "decide_row"),
    ("operations_seatplan", "pause_plan"), ("notifications_notification", "send_one_again"), ("instances_webhookdelivery", "send_order_again"), ("operations_approvalrequest", "decline"), ("operations_approvalrequest", "withdraw"),
}  # fmt: skip


class Answers(NamedTuple):
    """What each of PEOPLE gets."""

    get: dict[str, str]
    post: dict[str, str]


def table() -> dict[str, Answers]:
    """Every address by its route, as `addresses.routes` has them."""
    found = {route: Answers(_each(get), _each(post)) for route, (get, post) in SITE.items()}
    found |= {f"admin/{place}": _from(*line) for place, line in CONSOLE.items()}
    for label, parts in MODELS.items():
        below = {
            **_of_every_model(label),
            **{f"<object_id>/{part}/": _from("viewer", "200", NO) for part in parts.split()},
        }
        found |= {f"admin/{label.replace('.', '/')}/{place}": answers for place, answers in below.items()}
    return found


def _of_every_model(label: str) -> dict[str, Answers]:
    added, edited = ADDED.get(label, "nobody"), ADDED_AND_EDITED.get(label, "nobody")
    seen = _from("viewer", "200", NO)
    return {
        "": seen,
        "add/": _from(added, "200", "200"),
        "<object_id>/": _from("roleless", ">change", NO),
        "<object_id>/change/": Answers(seen.get, _from(edited, "200", "200").post),
        "<object_id>/history/": seen,
        "<object_id>/delete/": _from("nobody", "", NO),
        **{place: _from(role, "200", post) for place, role, post in _actions(label)},
    }


def _actions(label: str) -> Iterator[tuple[str, str, str]]:
    """Where the actions of a model are, behind the id of a row if they are about one; the role; the answer to a POST."""
    for name, role in ACTIONS.get(label, {}).items():
        yield (
            f"{name}/" if name in OF_A_LIST else f"<object_id>/{name}/",
            role,
            "200" if name in WITHOUT_WORK else "200!",
        )


def least_role(page: str, action: str) -> str:
    """Of an action, by the names in its address."""
    return "operator" if page == "realm" else ACTIONS[page.replace("_", ".")][action]


def _each(words: str) -> dict[str, str]:
    """Of one word for all, or four."""
    said = words.split()
    four = said if len(said) == 4 else said * 4
    return dict(zip(PEOPLE, [*four, *[four[-1]] * (len(STAFF) - 1)], strict=True))


def _from(role: str, get: str, post: str, below: str = "403") -> Answers:
    """Those answers from that role upwards; `below`: what other staff get. That a page takes no POST is told to all staff."""
    may = STAFF[STAFF.index(role) :] if role in STAFF else ()
    reading, posting = (REFUSED | dict.fromkeys(STAFF, one) for one in (below, NO if post == NO else below))
    return Answers(reading | dict.fromkeys(may, get), posting | dict.fromkeys(may, post))
