"""Stripe's own pages, at which a form of ours may end."""

from django.conf import settings


def allow_forms_to(*pages: str) -> list[str]:
    """For a page's form-action: those of Stripe's pages, such as `checkout`, and the hosts that take Stripe's place.

    The browser checks form-action along a form's redirects. What STRIPE_CSP_HOSTS names of Stripe itself is for its scripts and frames.
    """
    others = [host for host in settings.STRIPE_CSP_HOSTS if not host.endswith(".stripe.com")]
    return [*(f"https://{page}.stripe.com" for page in pages), *others]
