"""What staff may do: four roles, each with all that the one before it may. Data, and one function that makes it so.

A role is a Django group; who is in it comes from Keycloak at each login (staff.py). Nobody is ever a superuser.
"""

from django.contrib.auth.models import Group, Permission
from django.db.models import Q

READABLE_APPS = (
    "accounts",
    "login",
    "catalog",
    "billing",
    "instances",
    "notifications",
    "access",
    "onboarding",
    "operations",
    "core",
    "djstripe",
)
# Rows that hold secrets or nothing a person could use.
NEVER_SHOWN = ("view_apikey", "view_webhookendpoint", "view_usedlogouttoken", "view_ratelimit")

ADMIN = "admin"
# Role to what it adds: "app.codename". The accounts.* ones are declared at UserProfile.
ROLES: dict[str, tuple[str, ...]] = {
    "viewer": ("auth.view_user", "auth.view_group"),
    "support": (
        "accounts.see_personal_data",
        "accounts.sync_userprofile",
        "accounts.mail_userprofile",
        "accounts.recover_accounts",
        "accounts.extend_grace",
        "accounts.write_note",
        "accounts.retry_payment",
        "accounts.schedule_cancellation",
        "accounts.record_privacy_request",
    ),
    "operator": (
        "accounts.export_userprofile",
        "accounts.import_customers",
        "accounts.allocate_seat",
        "accounts.override_access",
        "accounts.retry_job",
        "accounts.refund_payment",
        "accounts.cancel_subscription",
        "accounts.pause_collection",
        "accounts.export_person",
    ),
    ADMIN: (
        "accounts.change_catalog",
        "accounts.change_capacity",
        "accounts.change_terms",
        "accounts.approve_revocations",
        "accounts.freeze_access",
        "accounts.refund_large_payment",
        "accounts.erase_person",
        "accounts.set_legal_hold",
        "accounts.manage_api_keys",
        "catalog.add_product",
        "catalog.change_product",
        "catalog.add_productprice",
        "catalog.change_productprice",
        "instances.add_instance",
        "instances.change_instance",
    ),
}


def sync_staff_permissions() -> None:
    """Give each role's group exactly the permissions above; makes missing groups. Safe to run at any time.

    Run at every staff login, so a group never lags behind the code; Django makes the permissions when it migrates.
    """
    readable = Q(content_type__app_label__in=READABLE_APPS, codename__startswith="view_")
    granted = set(Permission.objects.filter(readable).exclude(codename__in=NEVER_SHOWN).values_list("pk", flat=True))
    known = {
        f"{app}.{codename}": pk
        for pk, app, codename in Permission.objects.values_list("pk", "content_type__app_label", "codename")
    }
    for role, added in ROLES.items():
        granted |= {known[name] for name in added}
        group, _ = Group.objects.get_or_create(name=role)
        group.permissions.set(granted)
