"""A family: one pays and invites, another joins in a browser of her own, opens the app, and is taken out again."""

import pytest
from playwright.sync_api import expect

from apps.accounts.models import UserProfile
from apps.catalog.models import Product
from apps.sandbox.run.servers import free_port
from tests.journeys.keycloak_pages import LoginPage
from tests.journeys.site import PASSWORD, Site, heading, site, visit
from tests.journeys.stack import Album, Visit, reload

__all__ = ["site", "visit"]
pytestmark = [pytest.mark.browser, pytest.mark.long]
MIA = "mia@example.com"


def test_a_member_joins_uses_the_app_and_is_taken_out(site: Site, visit: Visit, album: Album) -> None:
    world = site.world
    Product.objects.filter(slug="plus").update(people=3)
    dana = site.subscriber("dana", plus=1)
    payer, member = visit(width=1440), visit(width=390, height=844, dark=True)
    site.log_in(payer, "dana")
    payer.get_by_role("navigation", name="Your pages").get_by_role("link", name="People").click()
    album.take(payer, "people-alone")
    payer.get_by_label("Their email address").fill(MIA)
    payer.get_by_role("button", name="Send the invitation").click()
    expect(payer.get_by_text("We're emailing an invitation to")).to_be_visible()
    album.take(payer, "people-invited")
    world.work()

    member.goto(next(one for one in site.mail(MIA, "invites you")["links"] if "/onboarding/join/" in one))
    heading(member, "Dana Example invites you to Frontdesk")
    album.take(member, "invitation")
    member.get_by_label("First name").fill("Mia")
    member.get_by_label("Username").fill("mia")
    member.get_by_role("checkbox").check()
    member.get_by_role("button", name="Join").click()
    heading(member, "You've joined")
    album.take(member, "joined")
    world.deliver()
    site.set_password(member, MIA)
    mia = UserProfile.objects.get(user__username="mia")
    with site.app("nextcloud", free_port()) as app:
        site.log_in(member, "mia")
        expect(member.get_by_text("Dana Example pays for your apps.")).to_be_visible()
        album.take(member, "dashboard")
        member.get_by_role("link", name="Open Nextcloud").click()
        expect(member.get_by_text("nextcloud-")).to_be_visible()
        assert len(app.sessions) == 1
        state = world.state(mia)
        assert (state.access, state.account, state.attributes["storage_gb"]) == ("active", True, "500")
        assert state.seats == (("nextcloud", "assigned"), ("vaultwarden", "assigned"))

        reload(payer)
        album.take(payer, "people-joined")
        payer.get_by_text("Remove Mia", exact=True).click()
        album.take(payer, "people-remove")
        payer.get_by_role("button", name="Yes, remove Mia").click()
        expect(payer.get_by_text("Mia no longer shares your subscription.")).to_be_visible()
        world.deliver()
        state = world.state(mia)
        assert (state.access, state.account) == ("canceled", False)
        assert state.seats == (("nextcloud", "retained"), ("vaultwarden", "retained"))
        assert app.sessions == {}  # the app has been told
        reload(member)
        expect(LoginPage(member).title).to_be_visible()
        LoginPage(member).sign_in("mia", PASSWORD)
        expect(member.get_by_text("Your account is paused or closed.")).to_be_visible()
    assert (world.state(dana).access, world.state(dana).account) == ("active", True)
    assert "shared_ended" in world.notifications(mia)
    world.assert_laws_hold()
