"""The foundation: clock, errors, jobs, locks, audit, limits. Knows no other app."""

from typing import override

from django.apps import AppConfig
from django.db.models.signals import post_migrate  # noqa: TID251  (what follows `migrate`, no change of a model)


class CoreConfig(AppConfig):
    """Registers the system checks and the nightly deletion of old rows."""

    name = "apps.core"
    verbose_name = "System"

    @override
    def ready(self) -> None:
        from apps.core import (
            alerts,
            audit_anchor,
            backups,
            checks,  # noqa: F401  (importing the checks registers them)
            comparison_runs,
            error_reports,
            hosts,
            law_checks,
            laws_audit,
            laws_jobs,
            laws_logs,
            limits,
            restore_marker,
            retention,
            retention_check,
            rights,
        )

        error_reports.begin()
        retention.register_own()
        retention_check.register()
        alerts.register()
        audit_anchor.register()
        backups.register()
        comparison_runs.register()
        law_checks.register()
        laws_audit.register()
        limits.register()
        hosts.register()
        restore_marker.register()
        laws_jobs.register_laws()
        laws_logs.register_laws()
        post_migrate.connect(rights.grant_after_migrate, sender=self)
