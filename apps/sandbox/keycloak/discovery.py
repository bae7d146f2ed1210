"""What a realm says about itself to any program: its address, its endpoints, its public keys.

https://openid.net/specs/openid-connect-discovery-1_0.html
"""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, JsonResponse

from apps.sandbox.keycloak import realm, tokens
from apps.sandbox.keycloak.answers import RefusedError, failed


def public(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """A view of a realm's public endpoint: 404 for another realm, refusals as JSON, nothing cached."""

    def served(request: HttpRequest, realm_name: str, **parts: str) -> HttpResponse:
        try:
            if realm_name not in {realm.name(), tokens.MASTER}:
                raise failed(404, "Realm does not exist")
            response = view(request, realm_name, **parts)
        except RefusedError as refusal:
            response = refusal.response()
        response.setdefault("Cache-Control", "no-store")
        response["Access-Control-Allow-Origin"] = "*"
        return response

    return served


@public
def discovery(_request: HttpRequest, _realm_name: str) -> HttpResponse:
    """GET /.well-known/openid-configuration: what the stand-in really does."""
    here = f"{realm.url()}/protocol/openid-connect"
    return JsonResponse(
        {
            "issuer": realm.url(),
            "authorization_endpoint": f"{here}/auth",
            "token_endpoint": f"{here}/token",
            "introspection_endpoint": f"{here}/token/introspect",
            "userinfo_endpoint": f"{here}/userinfo",
            "end_session_endpoint": f"{here}/logout",
            "revocation_endpoint": f"{here}/revoke",
            "jwks_uri": f"{here}/certs",
            "grant_types_supported": ["authorization_code", "client_credentials", "refresh_token"],
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "subject_types_supported": ["public"],
            "acr_values_supported": ["0", "1"],
            "prompt_values_supported": ["none", "login"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "scopes_supported": ["openid", "profile", "email", "roles", "offline_access"],
            "claims_supported": ["aud", "sub", "iss", "auth_time", "acr", "name", "email", "groups"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
            "backchannel_logout_supported": True,
            "backchannel_logout_session_supported": True,
            "frontchannel_logout_supported": False,
        }
    )


@public
def certs(_request: HttpRequest, _realm_name: str) -> HttpResponse:
    """GET /certs: the realm's public keys."""
    return JsonResponse({"keys": tokens.public_keys()})
