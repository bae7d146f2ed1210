"""Staff read what each email says, filled in with sample values; nothing of it runs in their browser."""

from collections.abc import Callable
from html import unescape

import pytest
from django.test import Client
from django.urls import reverse

from apps.notifications.email_list import EMAILS, sample_values
from apps.notifications.email_templates import render_email
from tests.console.conftest import staff

__all__ = ["staff"]  # the fixture
pytestmark = pytest.mark.django_db


def test_every_email_is_listed_with_when_it_is_sent_and_previewed(staff: Callable[..., Client]) -> None:
    client, address = staff("viewer"), reverse("admin:email-previews")
    page = client.get(address).content.decode()
    for name, kind in EMAILS.items():
        assert f"?name={name}" in page
        assert kind.when in unescape(page)
        preview = client.get(address, {"name": name})
        email = render_email(name, sample_values(name))
        shown = unescape(preview.content.decode())
        assert preview.status_code == 200
        assert email.subject in shown
        assert email.text in shown
        assert email.html in shown
        assert "sandbox srcdoc=" in shown


def test_an_email_that_does_not_exist_is_not_found(staff: Callable[..., Client]) -> None:
    client, address = staff("viewer"), reverse("admin:email-previews")
    for name in ("nothing", "../base", "base"):
        assert client.get(address, {"name": name}).status_code == 404
    assert Client().get(address).status_code == 302
