"""An empty list says in its own words what would be in it, or what was asked for in vain, and leads back to all rows."""

from collections.abc import Callable

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from apps.console.empty_lists import SENTENCES
from apps.console.navigation import list_url
from apps.core.models import Job
from tests.console.conftest import World

pytestmark = pytest.mark.django_db

Staff = Callable[..., Client]


def test_every_list_has_a_sentence_of_its_own(staff: Staff) -> None:
    models = {model._meta.label_lower: model for model in admin.site._registry}
    assert SENTENCES.keys() == models.keys()
    assert len(set(SENTENCES.values())) == len(SENTENCES)
    client, shown = staff("admin"), []
    for label, model in models.items():
        page = admin.site._registry[model]
        if not model._default_manager.exists():
            text = client.get(list_url(model, **page.all_rows)).content.decode()
            assert SENTENCES[label] in text, label
            shown.append(label)
    assert len(shown) > 30


def test_a_search_a_view_and_a_filter_without_rows_say_so(world: World, staff: Staff) -> None:
    client, url = staff("admin"), reverse("admin:core_job_changelist")
    Job.objects.all().delete()
    stuck, searched = client.get(url).content.decode(), client.get(url, {"q": "987654"}).content.decode()
    assert "Nothing under “Stuck”" in stuck
    assert f'href="{url}?is=work">Show all' in stuck
    assert "Nothing matches “987654”" in searched
    assert "This list can be searched by: " in searched
    overrides = reverse("admin:access_accessoverride_changelist")
    assert "Nothing matches these filters" in client.get(overrides, {"kind__exact": "hold"}).content.decode()
