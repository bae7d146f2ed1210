"""The paths of a Keycloak server, as far as the stand-in has them (the real server's, under /keycloak)."""

from django.urls import path, re_path
from django.urls.resolvers import URLPattern

from apps.sandbox.keycloak import (
    admin_clients,
    admin_realm,
    admin_roles,
    admin_sessions,
    admin_users,
    discovery,
    links,
    login,
    logout,
    oidc,
    permissions,
)
from apps.sandbox.keycloak.rights import Handler

ADMIN = r"^admin/realms/(?P<realm_name>[^/]+)"
USER = r"/users/(?P<user_id>[^/]+)"
CLIENT = r"/clients/(?P<client_uuid>[^/]+)"
GROUP = r"/groups/(?P<group_id>[^/]+)"
FORBIDDEN = (
    "roles|roles-by-id|client-scopes|client-templates|components|keys|authentication|identity-provider|push-revocation|"
    "admin-events|events|partialImport|partial-export|testSMTPConnection|"
    "attack-detection|default-groups|credential-registrators|clients-initial-access|client-policies|"
    "users-management-permissions|ldap-server-capabilities|default-default-client-scopes|organizations|workflows"
)


def _admin(pattern: str, view: Handler) -> URLPattern:
    return re_path(f"{ADMIN}{pattern}/?$", view)


urlpatterns = [
    _admin("", admin_realm.the_realm),
    _admin("/localization/(?P<language>[^/]+)", admin_realm.localization),
    _admin("/users", admin_users.all_users),
    _admin("/users/profile", admin_realm.user_profile),
    _admin(USER, admin_users.user),
    _admin(f"{USER}/reset-password", admin_users.password),
    _admin(f"{USER}/credentials", admin_users.credentials),
    _admin(f"{USER}/groups", admin_users.memberships),
    _admin(f"{USER}/groups/(?P<group_id>[^/]+)", admin_users.membership),
    _admin(f"{USER}/execute-actions-email", admin_users.action_mail),
    _admin(f"{USER}/send-verify-email", admin_users.verify_mail),
    _admin(f"{USER}/logout", admin_sessions.logout),
    _admin(f"{USER}/sessions", admin_sessions.user_sessions),
    _admin(f"{USER}/consents", admin_sessions.consents),
    _admin(f"{USER}/consents/(?P<client_id>[^/]+)", admin_sessions.consent),
    _admin(f"{USER}/role-mappings", admin_roles.user_mappings),
    _admin(f"{USER}/role-mappings/realm", admin_roles.user_realm_mappings),
    _admin(f"{USER}/role-mappings{CLIENT}", admin_roles.user_client_mappings),
    _admin(f"{USER}/role-mappings{CLIENT}/composite", admin_roles.user_client_rights),
    _admin(f"{USER}/(?:role-mappings/.*|impersonation|federated-identity.*)", admin_realm.forbidden),
    _admin("/groups", admin_realm.top_groups),
    _admin(GROUP, admin_realm.group),
    _admin(f"{GROUP}/children", admin_realm.children),
    _admin(f"{GROUP}/members", admin_realm.members),
    _admin(f"{GROUP}/role-mappings{CLIENT}", admin_roles.group_client_mappings),
    _admin(f"{GROUP}/(?:role-mappings|management/permissions).*", admin_realm.forbidden),
    _admin("/group-by-path/(?P<path>.+?)", admin_realm.by_path),
    _admin("/clients", admin_clients.clients),
    _admin(CLIENT, admin_clients.client),
    _admin("/client-session-stats", admin_sessions.session_counts),
    _admin(f"{CLIENT}/user-sessions", admin_sessions.client_sessions),
    _admin(f"{CLIENT}/service-account-user", admin_clients.account),
    _admin(f"{CLIENT}/protocol-mappers/models", admin_clients.mappers),
    _admin(f"{CLIENT}/protocol-mappers/models/(?P<mapper_id>[^/]+)", admin_clients.mapper),
    _admin(f"{CLIENT}/(?P<kind>default|optional)-client-scopes/(?P<scope_id>[^/]+)", admin_clients.client_scope),
    _admin(f"{CLIENT}/roles", admin_roles.client_roles),
    _admin(f"{CLIENT}/roles/(?P<name>[^/]+)", admin_roles.client_role),
    _admin(f"{CLIENT}/roles/(?P<name>[^/]+)/groups", admin_roles.client_role_groups),
    _admin(f"{CLIENT}/authz/resource-server/policy", permissions.all_policies),
    _admin(f"{CLIENT}/authz/resource-server/policy/user", permissions.user_policies),
    _admin(f"{CLIENT}/authz/resource-server/policy/(?P<policy_id>[^/]+)", permissions.policy),
    _admin(f"{CLIENT}/authz/resource-server/permission", permissions.permission_list),
    _admin(f"{CLIENT}/authz/resource-server/permission/scope", permissions.scope_permissions),
    _admin("/clients/.+", admin_realm.forbidden),
    _admin("/client-scopes", admin_clients.scopes),
    _admin("/logout-all", admin_realm.logout_everyone),
    _admin("/roles", admin_roles.realm_roles),
    _admin("/roles/(?P<name>[^/]+)", admin_roles.realm_role),
    _admin("/roles/(?P<name>[^/]+)/groups", admin_roles.realm_role_groups),
    _admin("/roles-by-id/(?P<role_id>[^/]+)/composites", admin_roles.role_composites),
    _admin(f"/(?:{FORBIDDEN})(?:/.*)?", admin_realm.forbidden),
    _admin("/.*", admin_realm.unknown_path),
    path("admin/serverinfo", admin_realm.server_info),
    path("realms/<str:realm_name>/.well-known/openid-configuration", discovery.discovery),
    path("realms/<str:realm_name>/protocol/openid-connect/auth", login.auth),
    path("realms/<str:realm_name>/protocol/openid-connect/token", oidc.token),
    path("realms/<str:realm_name>/protocol/openid-connect/token/introspect", oidc.introspect),
    path("realms/<str:realm_name>/protocol/openid-connect/userinfo", oidc.userinfo),
    path("realms/<str:realm_name>/protocol/openid-connect/certs", discovery.certs),
    path("realms/<str:realm_name>/protocol/openid-connect/revoke", oidc.revoke),
    path("realms/<str:realm_name>/protocol/openid-connect/logout", logout.logout),
    path("realms/<str:realm_name>/protocol/openid-connect/logout/logout-confirm", logout.confirm),
    path("realms/<str:realm_name>/login-actions/authenticate", login.authenticate),
    path("realms/<str:realm_name>/login-actions/required-action", login.required_action),
    path("realms/<str:realm_name>/login-actions/one-time-code", login.one_time_code),
    path("realms/<str:realm_name>/login-actions/action-token", links.action_token),
    path("realms/<str:realm_name>/login-actions/reset-credentials", links.reset_credentials),
]
