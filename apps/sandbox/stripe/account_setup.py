"""How the account is set up: its webhook endpoint, the portal's configurations, and Stripe Tax."""

from urllib.parse import urlsplit

from apps.sandbox import settings
from apps.sandbox.stripe import portal, taxes, timeline, webhooks
from apps.sandbox.stripe.records import API_VERSION, SHAPES, Obj, copied, root
from apps.sandbox.stripe.routing import route


def endpoints() -> list[Obj]:
    """The one endpoint, without the secret, which Stripe shows only once."""
    target = webhooks.endpoint()
    if target is None:
        return []
    made = copied(SHAPES["webhook_endpoint"]) | {"id": "we_1SandboxFrontdesk00000000", "created": timeline.now()}
    made |= {"url": _public_address(target["url"]), "api_version": target.get("version", API_VERSION)}
    return [made | {"status": target.get("status", "enabled"), "enabled_events": target.get("events", ["*"])}]


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
