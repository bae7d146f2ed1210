"""What tokens say about a person to a client: the standard scopes, and the client's own protocol mappers."""

from typing import Any

from apps.sandbox.keycloak import groups, realm, roles, sessions, tokens

Row = dict[str, Any]

REFRESH_OFFLINE_SECONDS = 30 * 86_400


def of_user(user: Row, client: Row, place: str) -> Row:
    """The claims about `user` for `client` in a `place`: "id.token", "access.token", "userinfo.token"."""
    scopes = client.get("defaultClientScopes", [])
    said: Row = {}
    if "profile" in scopes:
        full = f"{user['firstName']} {user['lastName']}".strip()
        said |= {"name": full} if full else {}
        said["preferred_username"] = user["username"]
        for claim, key in (("given_name", "firstName"), ("family_name", "lastName")):
            said |= {claim: user[key]} if user[key] else {}
        said |= {"locale": locale[0]} if (locale := user["attributes"].get("locale")) else {}
    if "email" in scopes:
        said["email_verified"] = user["emailVerified"]
        said |= {"email": user["email"]} if user["email"] else {}
    for mapper in client["protocolMappers"]:
        if mapper["config"].get(f"{place}.claim") == "true":
            said |= _mapped(user, mapper)
    return said


def _mapped(user: Row, mapper: Row) -> Row:
    config = mapper["config"]
    if mapper["protocolMapper"] == "oidc-group-membership-mapper":
        key = "path" if config.get("full.path") == "true" else "name"
        return {config["claim.name"]: [group[key] for group in groups.of_user(user)]}
    if mapper["protocolMapper"] == "oidc-usermodel-attribute-mapper":
        values = user["attributes"].get(config["user.attribute"], [])
        if not values:
            return {}
        boolean = config.get("jsonType.label") == "boolean"
        value: Any = values[0].lower() == "true" if boolean else values[0]
        return {config["claim.name"]: value}
    return {}


def answer(*, user: Row, client: Row, session: Row, scope: str, nonce: str = "") -> Row:
    """The token endpoint's answer for a person: access, refresh and (with scope openid) ID token."""
    rules, entry = realm.settings_of_realm(), session["clients"][client["clientId"]]
    lifespan = int(client["attributes"].get("access.token.lifespan", rules["accessTokenLifespan"]))
    shared = {
        "sub": user["id"],
        "azp": client["clientId"],
        "sid": session["id"],
        "auth_time": session["auth_time"],
        "acr": entry["acr"],
    }
    offline = "offline_access" in scope.split()
    access = tokens.sign(
        tokens.basics(
            typ="Bearer",
            lifespan=lifespan,
            scope=scope,
            era=tokens.era(user),
            **shared,
            **of_user(user, client, "access.token"),
        )
    )
    rest = REFRESH_OFFLINE_SECONDS if offline else rules["ssoSessionIdleTimeout"]
    refresh = tokens.basics(
        typ="Offline" if offline else "Refresh",
        lifespan=rest,
        aud=realm.url(),
        scope=scope,
        era=tokens.era(user),
        nonce=nonce,
        **shared,
    )
    given = {
        "access_token": access,
        "expires_in": lifespan,
        "refresh_expires_in": 0 if offline else rest,
        "refresh_token": tokens.seal(refresh),
        "token_type": "Bearer",
        "not-before-policy": user["notBefore"],
        "session_state": session["id"],
        "scope": scope,
    }
    if "openid" in scope.split():
        given["id_token"] = _id_token(user, client, shared, access=access, nonce=nonce)
    return given


def _id_token(user: Row, client: Row, shared: Row, *, access: str, nonce: str) -> str:
    said = tokens.basics(
        typ="ID",
        lifespan=realm.settings_of_realm()["accessTokenLifespan"],
        aud=client["clientId"],
        at_hash=tokens.half_hash(access),
        **shared,
        **of_user(user, client, "id.token"),
    )
    return tokens.sign(said | ({"nonce": nonce} if nonce else {}))


def service_answer(client: Row, user: Row) -> Row:
    """The token endpoint's answer to a service account (client_credentials): no refresh token."""
    rules = realm.settings_of_realm()
    lifespan = int(client["attributes"].get("access.token.lifespan", rules["accessTokenLifespan"]))
    may = sorted(roles.of_account(user, client))
    access = {"aud": roles.CLIENT, "resource_access": {roles.CLIENT: {"roles": may}}} if may else {}
    said = tokens.basics(
        typ="Bearer",
        lifespan=lifespan,
        sub=user["id"],
        azp=client["clientId"],
        scope="",
        era=tokens.era(user),
        **access,
    )
    return {
        "access_token": tokens.sign(said),
        "expires_in": lifespan,
        "refresh_expires_in": 0,
        "token_type": "Bearer",
        "not-before-policy": rules["notBefore"],
        "scope": "",
    }


def valid_access(token: str) -> tuple[Row, Row | None]:
    """An access token's claims and its session, while it may be used. Raises InvalidTokenError with Keycloak's reason."""
    said = tokens.read(token)
    if said is None or said.get("typ") != "Bearer" or not tokens.live(said):
        raise InvalidTokenError("Token verification failed")
    user = realm.state()["users"].get(said["sub"])
    if user is None or not user["enabled"]:
        raise InvalidTokenError("User disabled" if user else "User not found")
    session = None
    if "sid" in said:
        session = sessions.find(said["sid"])
        if session is None or said["azp"] not in session["clients"]:
            session = sessions.find_offline(said["sid"])
        if session is None or said["azp"] not in session["clients"]:
            raise InvalidTokenError("user_session_not_found")
    if said["era"] != tokens.era(user):
        raise InvalidTokenError("Stale token")
    return said, session


class InvalidTokenError(Exception):
    """An access token that may not be used (any more), with Keycloak's reason."""
