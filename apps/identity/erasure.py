"""Delete an account in Keycloak for good, as the last step of forgetting a person."""

from apps.core import audit
from apps.core.audit_actions import AuditAction
from apps.identity.keycloak import client

KIND = "delete_account"


def delete_account(keycloak_id: str) -> None:
    """The job: the account goes, with its sessions and credentials. One that is gone already is fine."""
    if client().get_user(keycloak_id) is not None:
        client().delete_user(keycloak_id)
    audit.record(subject=("account", keycloak_id), action=AuditAction.ERASED_AT_KEYCLOAK)
