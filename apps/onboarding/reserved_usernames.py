"""Usernames nobody may take: roles, mailboxes of RFC 2142, our own words, addresses of services, their look-alikes, and
names that hold the operator's brand or claim a role (`support-acme`, `billing.team`)."""

import re
from itertools import pairwise
from urllib.parse import urlsplit

from django.conf import settings

WORDS = """
abuse access account accounts accounting activate activation ad adm admin administration administrator admins ads adserver
affiliate alert alerts all analytics android anonymous any anybody anyone api apis app apple apps archive assets assistant
audit auth authentication authorize autoconfig autodiscover backend backup backups banking bc beta billing bitwarden blog bot
bots broadcast bug bugs business ca cache calendar callback canary captcha career careers cart catalog cdn cert certificate
certificates changelog chat checkout client cloud cluster cms code collabora com comment community compliance config console
contact contacts copyright cron customer customers daemon dash dashboard data database db debug default delete demo deploy dev
devel developer developers devnull directory discount dmca dns docker docs documentation domain domains donate download
downloads drive dummy edit editor email erased everybody everyone example exchange facebook faq feed feedback file files finance
firewall forgot forum forums ftp gateway git github gitlab google grafana group groups guest guests health hello help helpdesk
home host hosting hostmaster hr http https ico id identity image images imap imprint inbox index info infra instance instances
internal invite invoice invoices ios ip ipv4 ipv6 irc is isatap issue issues it jabber job jobs join keycloak keys ldap legal
license link list lists listserv live local localdomain localhost log login logo logout logs mail mailbox mailer mailerdaemon
mailgun mailinglist maintenance majordomo manager marketing master me media member members message messages metrics microsoft
mis mobile moderator monitor monitoring mx mysql name named network new news newsletter newsroom nextcloud nil nobody noc none
noreply notification notifications notify ns ns1 ns2 null oauth office oidc onboarding online openid operator operators order
orders owner page pages partner partners password passwords pay payment payments paypal phishing photos php ping plan plans
policy pop pop3 portal postgres postgresql postmaster press pricing privacy private prod product production products profile
profiles prometheus proxy public purchase recovery redis refund register registration remove report reports reset return robot
robots root rss sales saml sample scheduler search secret secrets secure security seller server servers service services
session sessions settings setup share shop signin signup site sitemap smtp social source spam spf ssh ssl sso staff staging
stage static stats status storage store stripe subscribe subscriber subscription subscriptions sudo superadmin superuser
support survey svn sync sysadmin sysop system task tasks team telnet terms test tester testing tests token tools tos tracking
trial trust unclaimed undefined unknown unsubscribe update updates upgrade upload uploads usenet user username users uucp vault
vaultwarden verify version video void vpn waitlist web webdisk webhook webhooks webmail webmaster website whm whois wiki
worker wpad www xml xmpp you yourself
"""
RESERVED = frozenset(WORDS.split())
# Somebody with one of these in the name seems to speak for the operator.
ROLES = """
abuse account accounts accounting admin administration administrator admins auth billing compliance customerservice finance
helpdesk hostmaster invoice invoices legal management manager moderator moderators noreply official operator operators payment
payments postmaster privacy refund refunds root security service staff superuser support sysadmin system team verification
webmaster
"""
SHORTEST_BRAND = 5  # a shorter one is in too many people's names; it counts only as a word of its own
# Letters that pass for others at a glance: adm1n, r00t, supp0rt.
LOOKALIKES = str.maketrans({"0": "o", "1": "l", "i": "l", "3": "e", "4": "a", "5": "s", "7": "t", "8": "b", "9": "g"})


def skeleton(name: str) -> str:
    """What a name looks like: separators gone, digits as the letters they imitate, `rn` as `m`, `vv` as `w`."""
    plain = re.sub(r"[._-]", "", name.lower()).translate(LOOKALIKES)
    return plain.replace("rn", "m").replace("vv", "w")


SKELETONS = frozenset(map(skeleton, RESERVED))
ROLE_SKELETONS = frozenset(map(skeleton, ROLES.split()))


def is_reserved(name: str) -> bool:
    """Whether `name` is reserved, looks like a reserved name, is one with a number behind it, claims a role, or holds the brand."""
    whole = skeleton(name)
    if whole in SKELETONS or name.rstrip("0123456789._-").lower() in RESERVED:
        return True
    words = [skeleton(word) for word in re.split(r"[._-]+|(?<=[a-z])(?=[0-9]+$)", name.lower()) if word]
    return _claims_role(whole, words) or any(
        brand in words or (len(brand) >= SHORTEST_BRAND and brand in whole) for brand in brands()
    )


def _claims_role(whole: str, words: list[str]) -> bool:
    """A role as one word of the name, of two words of it, or glued to another reserved word (`supportteam`)."""
    if ROLE_SKELETONS & {*words, *(first + second for first, second in pairwise(words))}:
        return True
    return any(
        (whole.startswith(role) and whole[len(role) :] in SKELETONS)
        or (whole.endswith(role) and whole[: -len(role)] in SKELETONS)
        for role in ROLE_SKELETONS
    )


def brands() -> set[str]:
    """The operator's name, and the name of the site's and of the mail's domain, as skeletons."""
    hosts = (urlsplit(settings.BASE_URL).hostname or "", settings.MAILGUN_DOMAIN)
    labels = [host.split(".")[-2] for host in hosts if host.count(".") >= 1 and not host.replace(".", "").isdigit()]
    found = {skeleton(re.sub(r"[^a-z0-9]", "", name.lower())) for name in (str(settings.BRAND["name"]), *labels)}
    return {brand for brand in found if len(brand) >= 2}
