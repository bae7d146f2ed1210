"""The console's look and menu, as data: strings and dotted paths only, no queries (django-unfold reads it as UNFOLD).

Every dotted path names a function of the request; `import_string` resolves it, and a test imports each of them.
"""

from typing import Any

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "apps.console.look.title",
    "SITE_HEADER": "apps.console.look.title",
    "SITE_SUBHEADER": "Console",
    "SITE_SYMBOL": "concierge",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "apps.console.look.icon"}],
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_BACK_BUTTON": False,
    "BORDER_RADIUS": "8px",
    "ENVIRONMENT": "apps.console.look.environment",
    "DASHBOARD_CALLBACK": "apps.console.dashboard.context",
    "STYLES": ["apps.console.look.stylesheet"],
    "SCRIPTS": ["apps.console.look.script", "apps.console.look.copy_script"],
    "COLORS": {"primary": "apps.console.look.primary"},
    "ACCOUNT": {"navigation": "apps.console.look.account_links"},
    "SIDEBAR": {
        "show_search": True,
        "show_all_applications": False,
        "navigation": "apps.console.navigation.sidebar",
    },
    "TABS": "apps.console.navigation.tabs",
    # Results come from our own bounded search; a history would keep customers' names in the browser.
    "COMMAND": {
        "search_models": False,
        "search_callback": "apps.console.search.palette",
        "show_history": False,
    },
}
