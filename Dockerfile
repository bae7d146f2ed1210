# syntax=docker/dockerfile:1
# Two stages: packages and static files are built with uv, the image that runs holds neither uv nor a compiler.

FROM python:3.13-slim-trixie@sha256:afd91e25d0d1b40e4c92bf716154ec3c4a9f0de1ce2a5c3663007fb6918eaf9c AS build
COPY --from=ghcr.io/astral-sh/uv:0.9@sha256:538e0b39736e7feae937a65983e49d2ab75e1559d35041f9878b7b7e51de91e4 /uv /bin/uv
WORKDIR /app
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never
COPY pyproject.toml uv.lock .python-version ./
RUN uv sync --frozen --no-default-groups
COPY . .
# collectstatic reads the settings but needs nothing of them: these values are for this one command.
RUN STATIC_COLLECTED=true DJANGO_SECRET_KEY=build POSTGRES_DB=x POSTGRES_USER=x POSTGRES_PASSWORD=x POSTGRES_HOST=x \
    KEYCLOAK_SERVER_URL=http://build KEYCLOAK_REALM=x OIDC_RP_CLIENT_ID=x OIDC_RP_CLIENT_SECRET=x \
    KEYCLOAK_ADMIN_CLIENT_ID=x KEYCLOAK_ADMIN_CLIENT_SECRET=x STRIPE_SECRET_KEY=sk_test_000000000000000000000000 \
    STRIPE_PUBLISHABLE_KEY=pk_test_000000000000000000000000 STRIPE_WEBHOOK_SECRET=x MAILGUN_API_KEY=x PROMETHEUS_METRICS_API_KEY=x \
    .venv/bin/python manage.py collectstatic --no-input --skip-checks -v0

FROM python:3.13-slim-trixie@sha256:afd91e25d0d1b40e4c92bf716154ec3c4a9f0de1ce2a5c3663007fb6918eaf9c
RUN apt-get update && apt-get install -y --no-install-recommends tini && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 frontdesk && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin frontdesk \
    && mkdir /marker && chown 10001:10001 /marker
WORKDIR /app
COPY --from=build /app /app
# MALLOC_MMAP_THRESHOLD_: else glibc keeps the 19 MB that hashing a code takes, once for each thread that ever did it.
ENV PATH=/app/.venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 STATIC_COLLECTED=true MALLOC_MMAP_THRESHOLD_=1048576
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=4 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health/live', timeout=4)"]
# tini reaps what a killed worker leaves, and passes SIGTERM on.
ENTRYPOINT ["tini", "--"]
# Only the web has several processes whose counters are summed; their folder must be new at each start.
CMD ["sh", "-c", "export PROMETHEUS_MULTIPROC_DIR=/tmp/prometheus; rm -rf $PROMETHEUS_MULTIPROC_DIR && mkdir $PROMETHEUS_MULTIPROC_DIR && exec python -m config.serve --interface wsgi --host 0.0.0.0 --port 8000 --http 1 --no-ws --workers 2 --blocking-threads 4 --backpressure 256 --runtime-threads 1 --respawn-failed-workers --workers-kill-timeout 30 --workers-lifetime 6h --workers-max-rss 400 --http1-buffer-size 16384 --http1-header-read-timeout 5000 config.wsgi:application"]
