"""How the account is set up: its webhook endpoint, the portal's configurations, and Stripe Tax."""

from urllib.parse import urlsplit

from apps.sandbox import settings
from apps.sandbox.stripe import lists, portal, timeline, webhooks
from apps.sandbox.stripe.records import API_VERSION, SHAPES, Obj, copied, every, root
from apps.sandbox.stripe.routing import route


@route("GET /v1/webhook_endpoints")
def list_endpoints(params: Obj) -> Obj:
    """The one endpoint, without the secret, which Stripe shows only once."""
    target, found = webhooks.endpoint(), []
    if target:
        made = copied(SHAPES["webhook_endpoint"]) | {"id": "we_1SandboxFrontdesk00000000", "created": timeline.now()}
        made |= {"url": _public_address(target["url"]), "api_version": target.get("version", API_VERSION)}
        made |= {"status": target.get("status", "enabled"), "enabled_events": target.get("events", ["*"])}
        found.append(made)
    return lists.page(found, params, "/v1/webhook_endpoints")


def _public_address(url: str) -> str:
    """The endpoint as Frontdesk's visitors write it, unless control.py has set another: within compose we reach it by an inner name."""
    return url if "endpoint" in root() else f"{settings.APP_URL}{urlsplit(url).path}"


@route("GET /v1/billing_portal/configurations")
def list_configurations(params: Obj) -> Obj:
    """The portal's configurations; a default one once its settings were saved."""
    saved = root()["settings"]["portal_saved"]
    if saved:
        portal.default_configuration()
    found = [one for one in every("billing_portal.configuration") if saved or not one["is_default"]]
    return lists.page(
        lists.matching(found, params, "active", "is_default"), params, "/v1/billing_portal/configurations"
    )


@route("GET /v1/tax/settings")
def get_tax_settings(_params: Obj) -> Obj:
    """Whether Stripe Tax could compute."""
    made, status = copied(SHAPES["tax.settings"]), root()["settings"]["tax"]
    details = {} if status == "active" else {"missing_fields": ["head_office"]}
    return made | {"status": status, "status_details": {status: details}}
