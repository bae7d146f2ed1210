"""The site as the web server runs it, with the benchmark's own route."""

from django.conf import settings

from config.wsgi import application

settings.ROOT_URLCONF = "apps.sandbox.bench.urls"
__all__ = ["application"]
