"""Every page of the console, one module for each. Imported by Django's autodiscovery, after all other apps' admins.

The pages that packages have registered are taken off first: dj-stripe's mount a view by which any staff cancel
subscriptions, and django-q2's show arguments and offer deletion. What the console shows, it shows through its own classes.
"""

from django.contrib import admin

for model in list(admin.site._registry):
    admin.site.unregister(model)

from apps.console.admin import (  # noqa: E402
    api_keys,
    approvals,
    attention,
    capacity,
    catalog,
    comparisons,
    drift,
    emails,
    events,
    imports,
    incident,
    jobs,
    laws,
    memberships,
    mirror,
    outages,
    overrides,
    privacy,
    realm,
    restores,
    safeguard,
    seat_plans,
    seats,
    signups,
    staff,
    subscribers,
    sync_runs,
    terms,
    terms_preview,
    timeline,
    waitlist,
    webhook_deliveries,
)

__all__ = [
    "api_keys", "approvals", "attention", "capacity", "catalog", "comparisons", "drift", "emails", "events", "imports", "incident", "jobs", "laws", "memberships", "mirror", "outages", "overrides", "privacy", "realm", "restores",
    "safeguard", "seat_plans", "seats", "signups", "staff", "subscribers", "sync_runs", "terms", "terms_preview", "timeline", "waitlist", "webhook_deliveries",
]  # fmt: skip
