"""Work over many subscribers: sweeps, drift, sync runs, the safeguard, and the impact of catalog changes."""

from typing import override

from django.apps import AppConfig


class OperationsConfig(AppConfig):
    """Registers the job kinds, and listens to the reconciler."""

    name = "apps.operations"
    verbose_name = "Operations"

    @override
    def ready(self) -> None:
        from apps.operations import (
            account_checks,
            after_restore,
            approval_actions,
            daily_figures,
            doctor,
            drift,
            emails_again,
            gauges,
            incident,
            job_retries,
            keycloak_write_back,
            laws,
            laws_safeguard,
            own_copy,
            own_erasure,
            pruning,
            report_figures,
            seat_plan_job,
            stripe_comparison,
            sweeps,
            sync_runs,
            terms_preview,
        )

        account_checks.register()
        after_restore.register()
        approval_actions.register()
        daily_figures.register()
        doctor.register()
        drift.register()
        emails_again.register()
        gauges.register()
        incident.register()
        job_retries.register()
        keycloak_write_back.register()
        own_copy.register()
        own_erasure.register()
        report_figures.register()
        stripe_comparison.register()
        sweeps.register()
        sync_runs.register()
        terms_preview.register()
        pruning.register()
        seat_plan_job.register()
        laws.register()
        laws_safeguard.register_laws()
