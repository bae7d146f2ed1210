"""The narrowest thread: a signed event in, a mirrored subscription, a decision, an account, a seat, a mail."""

from allauth.socialaccount.models import SocialAccount

from apps.billing.models import InboundEvent, Subscription
from tests.world import World


def test_a_paid_checkout_becomes_an_account_with_an_app_and_a_mail(world: World) -> None:
    profile = world.pay(world.signup("dana", personal=1, storage_100=2))
    assert world.state(profile).access == "none"
    world.deliver()

    assert world.jobs() == []
    state = world.state(profile)
    assert (state.access, state.subscription, state.account) == ("active", "active", True)
    assert state.attributes == {
        "has_nextcloud": "true",
        "nextcloud_instance": "nextcloud-1",
        "storage_gb": "300",
    }
    assert state.groups == state.local_groups == ("/frontdesk/nextcloud-1",)
    assert state.seats == (("nextcloud", "assigned"),)
    account = world.account(profile)
    assert account["attributes"]["onboarding_id"] == [str(profile.onboarding_id)]
    assert (account["username"], account["emailVerified"]) == ("dana", True)
    assert SocialAccount.objects.get(provider="keycloak").user == profile.user
    assert len(world.mails(profile)) == 2
    assert world.notifications(profile) == ["keycloak_set_password", "welcome"]
    assert not InboundEvent.objects.filter(state="received").exists()
    assert Subscription.objects.get().customer_id == profile.stripe_customer_id
    world.assert_laws_hold()
