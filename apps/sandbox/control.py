"""The control API: the clock, the fault switches, the webhooks, a fresh start. JSON in and out, or the overview's forms.

Whatever is not understood is answered with 400 and one sentence that says what would be.
"""

import json
import re
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render

from apps.sandbox import clock, faults, lifecycle, products
from apps.sandbox.immich import answers as immich
from apps.sandbox.immich import users as immich_users
from apps.sandbox.keycloak import tokens
from apps.sandbox.mailgun import inbox
from apps.sandbox.nextcloud import answers as nextcloud
from apps.sandbox.receiver import accounts as receiver
from apps.sandbox.store import store
from apps.sandbox.stripe import webhooks

Options = dict[str, Any]
IMMICH_SETTINGS = ("permissions", "delete_delay", "oauth", "auto_register")

WEBHOOK_MODES = ("deliver", "hold", "drop", "duplicate", "shuffle")
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
LONGEST_STEP_SECONDS = 10 * 366 * 86_400


def endpoint(
    *, get: Callable[[], Any] | None = None, post: Callable[[Options], Any] | None = None
) -> Callable[[HttpRequest], HttpResponse]:
    """A view that answers with what a function makes of the options; ValueError becomes a 400 with its sentence."""

    def view(request: HttpRequest) -> HttpResponse:
        if request.method == "GET" and get is not None:
            return JsonResponse(get(), safe=False)
        if request.method != "POST" or post is None:
            allowed = [name for name, found in (("GET", get), ("POST", post)) if found]
            answer = JsonResponse({"error": f"Use {' or '.join(allowed)}."}, status=405)
            answer["Allow"] = ", ".join(allowed)
            return answer
        from_form = request.content_type in FORMS
        try:
            done = post(request.POST.dict() if from_form else _read_options(request.body))
        except ValueError as problem:
            if from_form:
                return render(request, "sandbox/refused.html", {"problem": problem}, status=400)
            return JsonResponse({"error": str(problem)}, status=400)
        name = request.path.strip("/").split("/")[-1]
        return HttpResponseRedirect(f"/?done={name}") if from_form else JsonResponse(done)

    return view


def _read_options(body: bytes) -> Options:
    if not body.strip():
        return {}
    try:
        options = json.loads(body)
    except ValueError:
        raise ValueError("The body must be JSON.") from None
    if not isinstance(options, dict):
        raise ValueError("The body must be a JSON object.")  # noqa: TRY004  answered as 400 like the rest
    return options


def _time() -> Options:
    return {"now": clock.now(), "utc": clock.now_utc().isoformat(), "offset_seconds": store.data["clock_offset"]}


def _advance(options: Options) -> Options:
    seconds = options.get("advance_seconds")
    if isinstance(seconds, str) and re.fullmatch(r"\d{1,12}", seconds.strip()):
        seconds = int(seconds)
    if not isinstance(seconds, int) or isinstance(seconds, bool) or not 0 <= seconds <= LONGEST_STEP_SECONDS:
        raise ValueError(
            f"advance_seconds must be a whole number from 0 to {LONGEST_STEP_SECONDS}; the clock only moves forward."
        )
    return {"now": lifecycle.advance(seconds)}


def _faults() -> Options:
    modes = {
        peer: {name: faults.MODES[name].says for name in faults.modes_of(peer) if name != "ok"} for peer in faults.PEERS
    }
    return {"faults": store.data["faults"], "modes": modes}


def _webhook_mode() -> Options:
    return {"mode": store.data["webhook_mode"], "modes": WEBHOOK_MODES}


def _set_webhook_mode(options: Options) -> Options:
    if options.get("mode") not in WEBHOOK_MODES:
        raise ValueError(f"mode must be one of {', '.join(WEBHOOK_MODES)}.")
    store.data["webhook_mode"] = options["mode"]
    return {"mode": options["mode"]}


def _flush(_options: Options) -> Options:
    return dict(webhooks.flush())


def _reset(_options: Options) -> Options:
    lifecycle.reset()
    return {"reset": True, "now": clock.now()}


def _mark(options: Options) -> Options:
    store.mark(str(options.get("mark", "")))
    return {"marked": True, "now": clock.now()}


def _return_to_mark(options: Options) -> Options:
    """To `mark`; with `if_as`, only where nothing differs from the mark of that name."""
    as_wished = "if_as" not in options or store.is_as_marked(str(options["if_as"]))
    if as_wished:
        lifecycle.return_to_mark(str(options.get("mark", "")))
    return {"returned": as_wished, "now": clock.now()}


def _save(_options: Options) -> Options:
    store.save()
    return {"saved": True, "now": clock.now()}


def _rotate(_options: Options) -> Options:
    return {"kid": tokens.rotate()}


def _set_mailgun(options: Options) -> Options:
    """How every Mailgun domain is set up: `state` ("" for none), `disabled`, `dns` ("valid", "invalid"), `webhooks` {kind: [url]}, and
    what becomes of mails: `tracking` and `addresses`, see mailgun/tracking.py."""
    kept: Options = store.data["mailgun"]
    wrong = [name for name, value in options.items() if name not in kept or type(value) is not type(kept[name])]
    if wrong:
        raise ValueError(f"{wrong[0]} is not one of {', '.join(kept)}, or of another type.")
    kept.update(options)
    return kept


def _clear_inbox(_options: Options) -> Options:
    return {"cleared": inbox.clear()}


the_clock = endpoint(get=_time, post=_advance)
the_faults = endpoint(get=_faults, post=faults.switch)
the_webhooks = endpoint(get=_webhook_mode, post=_set_webhook_mode)
flush_webhooks = endpoint(post=_flush)
# Delivering calls the application, which may call back: the lock must be free meanwhile.
flush_webhooks.unlocked = True  # type: ignore[attr-defined]
reset = endpoint(post=_reset)
mark = endpoint(post=_mark)
return_to_mark = endpoint(post=_return_to_mark)
save = endpoint(post=_save)
rotate_keys = endpoint(post=_rotate)


def _change_nextcloud(options: Options) -> Options:
    return products.change_server(
        "nextcloud", options, server=nextcloud.host_of, find=lambda server, user: server["users"].get(user)
    )


def _change_immich(options: Options) -> Options:
    """As `change_server`; or `sub` and `email`: somebody comes from Keycloak; or one of IMMICH_SETTINGS."""
    host = options.get("host")
    if isinstance(host, str) and isinstance(options.get("sub"), str):
        return _log_in_to_immich(host, options["sub"], str(options.get("email", "")))
    if isinstance(host, str) and (changed := {name: options[name] for name in IMMICH_SETTINGS if name in options}):
        immich.host_of(host).update(changed)
        return changed
    return products.change_server("immich", options, server=immich.host_of, find=immich_users.find_account)


def _log_in_to_immich(host: str, sub: str, email: str) -> Options:
    try:
        return {"user": immich_users.log_in(immich.host_of(host), sub=sub, email=email)["id"]}
    except immich.RefusedError as refused:
        raise ValueError(str(refused)) from None


the_immich = endpoint(get=lambda: store.data["immich"], post=_change_immich)
the_nextcloud = endpoint(get=lambda: store.data["nextcloud"], post=_change_nextcloud)
the_receiver = endpoint(get=lambda: store.data["receiver"], post=receiver.change)
the_mailgun = endpoint(get=lambda: store.data["mailgun"], post=_set_mailgun)
clear_inbox = endpoint(post=_clear_inbox)
