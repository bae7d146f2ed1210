"""How the account is set up: its webhook endpoint, the portal's configurations, and Stripe Tax."""

from typing import Any
from urllib.parse import urlsplit

from apps.sandbox import settings
from apps.sandbox.stripe import portal, taxes, timeline, webhooks
from apps.sandbox.stripe.errors import invalid, no_such
from apps.sandbox.stripe.records import API_VERSION, SHAPES, Obj, copied, random_text, root
from apps.sandbox.stripe.routing import route


def endpoints() -> list[Obj]:
    """The one endpoint, without the secret, which Stripe shows only once."""
    target = webhooks.endpoint()
    if target is None:
        return []
    made = copied(SHAPES["webhook_endpoint"]) | {"id": "we_1SandboxFrontdesk00000000", "created": timeline.now()}
    made |= {"url": _public_address(target["url"]), "api_version": target.get("version", API_VERSION)}
    return [made | {"status": target.get("status", "enabled"), "enabled_events": target.get("events", ["*"])}]


@route("POST /v1/webhook_endpoints")
def create_endpoint(params: Obj) -> Obj:
    """Another endpoint; there is one here, so the new one takes its place. Its secret is shown this once."""
    _check_endpoint(params)
    secret = f"whsec_{random_text(32)}"
    root()["endpoint"] = {
        "url": params["url"],
        "secret": secret,
        "events": params["enabled_events"],
        "version": params.get("api_version", API_VERSION),
    }
    return endpoints()[0] | {"secret": secret}


@route("POST /v1/webhook_endpoints/{webhook_endpoint}")
def update_endpoint(params: Obj, identifier: str) -> Obj:
    """Change what the endpoint is told, or switch it off and on; its version stays."""
    found = next((one for one in endpoints() if one["id"] == identifier), None)
    if found is None:
        raise no_such("webhook_endpoint", identifier, "webhook_endpoint")
    _check_endpoint(params)
    kept = webhooks.endpoint() or {}
    changes = {"url": params.get("url", found["url"]), "events": params.get("enabled_events", found["enabled_events"])}
    if "disabled" in params:
        changes["status"] = "disabled" if params["disabled"] else "enabled"
    root()["endpoint"] = kept | changes
    return endpoints()[0]


def _check_endpoint(params: Obj) -> None:
    """What Stripe refuses: an address it could not reach, and no events at all."""
    url = urlsplit(params.get("url", "https://example.com"))
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise invalid("Invalid URL: An explicit scheme (such as https) must be provided.", "url")
    if params.get("enabled_events") == []:
        raise invalid("You must select at least one event.", "enabled_events")


def _value(given: Any) -> Any:
    """Of a feature, whose parts parameters.json does not look into: a list, yes or no, or text."""
    if isinstance(given, dict):
        return list(given.values())
    return given == "true" if given in {"true", "false"} else given


def update_configuration(configuration: Obj, params: Obj) -> None:
    """Change what the portal offers; of each feature only what is named."""
    for name, wished in params.get("features", {}).items():
        if name not in configuration["features"]:
            raise invalid(f"Received unknown parameter: features[{name}]", f"features[{name}]")
        configuration["features"][name] |= {key: _value(value) for key, value in wished.items()}
    configuration |= {"updated": timeline.now()}


def _public_address(url: str) -> str:
    """The endpoint as Frontdesk's visitors write it, unless control.py has set another: within compose we reach it by an inner name."""
    return url if "endpoint" in root() else f"{settings.APP_URL}{urlsplit(url).path}"


def configurations() -> list[Obj]:
    """The portal's default configuration, once its settings were saved."""
    return [portal.default_configuration()] if root()["settings"]["portal_saved"] else []


@route("GET /v1/tax/settings")
def get_tax_settings(_params: Obj) -> Obj:
    """Whether Stripe Tax could compute."""
    made, status = copied(SHAPES["tax.settings"]), root()["settings"]["tax"]
    details = {} if status == "active" else {"missing_fields": ["head_office"]}
    made["defaults"] = made["defaults"] | {"tax_behavior": root()["settings"]["tax_behavior"]}
    address = dict.fromkeys(("city", "line1", "line2", "postal_code", "state")) | {"country": taxes.HOME}
    made["head_office"] = {"address": address} if status == "active" else None
    return made | {"status": status, "status_details": {status: details}}


@route("GET /v1/tax/registrations")
def list_tax_registrations(_params: Obj) -> Obj:
    """Where the account collects tax."""
    found = [
        copied(SHAPES["tax.registration"]) | {"id": f"taxreg_{country}", "country": country, "created": timeline.now()}
        for country in (taxes.RATES if root()["settings"]["tax"] == "active" else ())
    ]
    return {"object": "list", "data": found, "has_more": False, "url": "/v1/tax/registrations"}
