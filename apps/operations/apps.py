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
            import_job,
            import_reading,
            import_undo,
            incident,
            job_retries,
            keycloak_write_back,
            laws,
            laws_safeguard,
            own_copy,
            own_erasure,
            product_sweep,
            pruning,
            report_figures,
            seat_plan_job,
            stripe_comparison,
            sweeps,
            sync_runs,
            terms_preview,
            untold_languages,
        )
        from apps.operations.api import changes, keys

        for module in (
            account_checks, after_restore, approval_actions, daily_figures, doctor, drift, emails_again, gauges, import_job, import_reading, import_undo, incident, job_retries, keycloak_write_back, own_copy, own_erasure, product_sweep, report_figures, stripe_comparison, sweeps, sync_runs, terms_preview, pruning, seat_plan_job, laws, untold_languages, changes, keys,
        ):  # fmt: skip
            module.register()
        laws_safeguard.register_laws()
