"""The Mailgun stand-in: `POST /v3/{domain}/messages`, a domain, its webhooks and its events.

Every name is a domain, set up as `POST /control/mailgun` says; with an empty state there is none.

https://documentation.mailgun.com/docs/mailgun/api-reference/send/mailgun/messages
"""

import base64
import secrets
from email.utils import getaddresses

from django.http import HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.urls import path

from apps.sandbox import clock
from apps.sandbox.mailgun import inbox, tracking
from apps.sandbox.store import store

MOST_URLS = 3  # of one kind


def messages(request: HttpRequest, domain: str) -> HttpResponse:
    """Queue a mail given as form fields. 401 without a key, 400 with Mailgun's sentence when a field is missing."""
    return _refused(request, domain) or _missing(request.POST) or _queue(domain, _read_mail(request))


def domain_state(request: HttpRequest, domain: str) -> HttpResponse:
    """A sending domain with the DNS records that mail needs."""
    kept = store.data["mailgun"]
    names = [
        ("TXT", domain, kept["dns"]),
        ("TXT", f"k1._domainkey.{domain}", kept["dns"]),
        ("CNAME", f"email.{domain}", "unknown"),
    ]
    records = [
        {"record_type": kind, "name": name, "valid": valid, "value": "v", "cached": []} for kind, name, valid in names
    ]
    found = {"name": domain, "state": kept["state"], "type": "custom", "is_disabled": kept["disabled"]}
    return _refused_reading(request, domain) or JsonResponse(
        {"domain": found, "sending_dns_records": records, "receiving_dns_records": []}
    )


def domain_webhooks(request: HttpRequest, domain: str) -> HttpResponse:
    """Where Mailgun tells what became of a mail, by the kind of event; a POST adds a kind that has none."""
    if refused := _refused_reading(request, domain):
        return refused
    if request.method == "POST":
        return _keep_hook(request.POST.get("id", ""), request.POST, is_new=True)
    return JsonResponse({"webhooks": {kind: {"urls": urls} for kind, urls in tracking.hooks().items()}})


def domain_webhook(request: HttpRequest, domain: str, kind: str) -> HttpResponse:
    """A PUT changes where one kind is told."""
    if refused := _refused_reading(request, domain):
        return refused
    if request.method != "PUT":
        return JsonResponse({"message": "Method Not Allowed"}, status=405)
    return _keep_hook(kind, QueryDict(request.body), is_new=False)


def _keep_hook(kind: str, form: QueryDict, *, is_new: bool) -> HttpResponse:
    urls = [str(url) for url in form.getlist("url")]
    if kind not in tracking.KINDS or not 1 <= len(urls) <= MOST_URLS:
        return JsonResponse({"message": "Invalid webhook or number of URLs"}, status=400)
    known = store.data["mailgun"]["webhooks"]
    if is_new and kind in known:
        return JsonResponse({"message": "Webhook already exists"}, status=400)
    if not is_new and kind not in known:
        return JsonResponse({"message": "Webhook not found"}, status=404)
    known[kind] = urls
    return JsonResponse(
        {"message": f"Webhook has been {'created' if is_new else 'updated'}", "webhook": {"urls": urls}}
    )


def events(request: HttpRequest, domain: str) -> HttpResponse:
    """What became of the domain's mails, oldest first; in one page."""
    return _refused_reading(request, domain) or JsonResponse({"items": tracking.log_events(), "paging": {}})


def _refused_reading(request: HttpRequest, domain: str) -> HttpResponse | None:
    if not _key(request):
        return HttpResponse("Forbidden", status=401)
    return (
        None if store.data["mailgun"]["state"] else JsonResponse({"message": f"Domain not found: {domain}"}, status=404)
    )


def _refused(request: HttpRequest, domain: str) -> HttpResponse | None:
    if request.method != "POST":
        return JsonResponse({"message": "Method Not Allowed"}, status=405)
    return _refused_reading(request, domain) or _refused_sending()


def _refused_sending() -> HttpResponse | None:
    if store.data["mailgun"]["disabled"]:
        return JsonResponse({"message": "Domain is not allowed to send: the domain is disabled"}, status=403)
    return None


def _key(request: HttpRequest) -> str:
    """The API key of Basic authentication `api:key`; empty when there is none. Any key is good."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        name, _, key = base64.b64decode(value, validate=True).decode().partition(":")
    except ValueError:
        return ""
    return key if name == "api" else ""


def _missing(fields: QueryDict) -> HttpResponse | None:
    if not fields.get("from"):
        return _bad("from parameter is missing")
    if not any(fields.getlist("to")):
        return _bad("to parameter is missing")
    for name in ("from", "to", "cc", "bcc"):
        if any(not _is_address(address) for _, address in getaddresses(fields.getlist(name))):
            return _bad(f"{name} parameter is not a valid address. please check documentation")
    if not fields.get("subject"):
        return _bad("subject parameter is missing")
    if not any(fields.get(name) for name in ("text", "html", "amp-html", "template")):
        return _bad("Need at least one of 'text', 'html', 'amp-html' or 'template' parameters specified")
    return None


def _is_address(address: str) -> bool:
    name, at, host = address.rpartition("@")
    return bool(name and at and host) and not any(mark in address for mark in " \r\n\0")


def _bad(sentence: str) -> HttpResponse:
    return JsonResponse({"message": sentence}, status=400)


def _read_mail(request: HttpRequest) -> inbox.Mail:
    fields = request.POST
    return inbox.Mail(
        source="mailgun",
        sender=fields["from"],
        to=[*fields.getlist("to"), *fields.getlist("cc"), *fields.getlist("bcc")],
        subject=fields["subject"],
        text=fields.get("text", ""),
        html=fields.get("html", ""),
        tags=fields.getlist("o:tag"),
        variables=_prefixed(fields, "v:"),
        headers=_prefixed(fields, "h:"),
    )


def _prefixed(fields: QueryDict, prefix: str) -> dict[str, str]:
    return {name.removeprefix(prefix): str(fields[name]) for name in fields if name.startswith(prefix)}


def _queue(domain: str, mail: inbox.Mail) -> HttpResponse:
    mail.headers["domain"] = domain
    mail_id = inbox.deliver(mail)
    message_id = f"<{clock.now_utc():%Y%m%d%H%M%S}.{secrets.token_hex(8)}@{domain}>"
    if kept := inbox.find(mail_id):
        tracking.happen(kept, message_id=message_id)
    return JsonResponse({"id": message_id, "message": "Queued. Thank you."})


urlpatterns = [
    path("v3/domains/<str:domain>", domain_state),
    path("v3/domains/<str:domain>/webhooks", domain_webhooks),
    path("v3/domains/<str:domain>/webhooks/<str:kind>", domain_webhook),
    path("v3/<str:domain>/messages", messages),
    path("v3/<str:domain>/events", events),
]
