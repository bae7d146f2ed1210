"""A sandbox of its own whose Mailgun takes the application's mails."""

import pytest

from tests.sandbox.keycloak_fixture import Standin


@pytest.fixture
def mailgun(standin: Standin, settings: object) -> Standin:
    settings.EMAIL_BACKEND = "apps.notifications.mailgun.DirectBackend"
    settings.ANYMAIL = settings.ANYMAIL | {
        "MAILGUN_API_URL": f"{standin.url}/mailgun/v3",
        "REQUESTS_TIMEOUT": 2,
    }
    return standin
