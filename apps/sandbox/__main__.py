"""Run the sandbox: `python -m apps.sandbox --port 8001 [--data DIR]`. See urls.py for what it serves."""

import argparse
import os
import signal
import sys
from types import FrameType


def main() -> None:
    """Read the arguments into the environment, then serve until SIGTERM or Ctrl-C, saving the state at the end."""
    parser = argparse.ArgumentParser(prog="python -m apps.sandbox", description=__doc__, fromfile_prefix_chars="@")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on")
    parser.add_argument("--port", type=int, default=8001)
    parser.add_argument("--data", default="", help="folder the state is kept in between runs")
    parser.add_argument("--webhook-url", default="", help="where Stripe's events are delivered")
    parser.add_argument("--webhook-secret", default="", help="the secret, or @ and the file that holds it")
    parser.add_argument("--mailgun-webhook-url", default="", help="where Mailgun tells what became of mails")
    parser.add_argument("--mailgun-signing-key", default="", help="what signs it, or @ and the file that holds it")
    parser.add_argument("--smtp-port", type=int, default=0, help="take mails by SMTP here too (of a real Keycloak)")
    parser.add_argument(
        "--smtp-certificate", default="", help="folder of fullchain.pem and privkey.pem: by STARTTLS and login"
    )
    parser.add_argument("--clock-file", default="", help="file the clock's offset is written to")
    arguments = parser.parse_args()
    os.environ["DJANGO_SETTINGS_MODULE"] = "apps.sandbox.settings"
    os.environ["SANDBOX_DATA_DIR"] = arguments.data
    os.environ["SANDBOX_WEBHOOK_URL"] = arguments.webhook_url
    os.environ["SANDBOX_WEBHOOK_SECRET"] = arguments.webhook_secret
    os.environ["SANDBOX_MAILGUN_WEBHOOK_URL"] = arguments.mailgun_webhook_url
    if arguments.mailgun_signing_key:
        os.environ["SANDBOX_MAILGUN_SIGNING_KEY"] = arguments.mailgun_signing_key
    os.environ["SANDBOX_CLOCK_FILE"] = arguments.clock_file
    os.environ.setdefault("SANDBOX_BASE_URL", f"http://127.0.0.1:{arguments.port}")
    serve(arguments.host, arguments.port, smtp_port=arguments.smtp_port, smtp_certificate=arguments.smtp_certificate)


def serve(host: str, port: int, *, smtp_port: int = 0, smtp_certificate: str = "") -> None:
    """Serve on `host`:`port`, a thread for each connection; take mails on `smtp_port`, if one is given."""
    import django
    from django.core.servers.basehttp import WSGIServer, run
    from django.core.wsgi import get_wsgi_application

    class Server(WSGIServer):
        request_queue_size = 128  # Django's 10 reset some of fifty people who pay at once

    django.setup()
    from apps.sandbox import lifecycle
    from apps.sandbox.store import store

    lifecycle.start()
    if smtp_port:
        from apps.sandbox.keycloak import smtp_server  # its library comes with the demo, not with the image

        smtp_server.listen(host, smtp_port, smtp_certificate)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        store.save()
        sys.exit(0)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    run(host, port, get_wsgi_application(), threading=True, server_cls=Server)


if __name__ == "__main__":
    main()
