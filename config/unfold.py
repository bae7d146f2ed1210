"""The console's theme and menu, as data: strings and dotted paths only, no queries (django-unfold reads it as UNFOLD).

Every dotted path names a function of the request; `import_string` resolves it, and a test imports each of them.
"""

from typing import Any

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "apps.console.theme.title",
    "SITE_HEADER": "apps.console.theme.title",
    "SITE_SUBHEADER": "Console",
    "SITE_SYMBOL": "concierge",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "apps.console.theme.icon"}],
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_BACK_BUTTON": False,
    "BORDER_RADIUS": "8px",
    "ENVIRONMENT": "apps.console.theme.environment",
    "DASHBOARD_CALLBACK": "apps.console.dashboard.context",
    "STYLES": ["apps.console.theme.stylesheet"],
    "SCRIPTS": [
        "apps.console.theme.script",
        "apps.console.theme.parts_script",
        "apps.console.theme.shortcuts_script",
        "apps.console.theme.copy_script",
        "apps.console.theme.import_script",
        "apps.console.theme.zone_script",
    ],
    "COLORS": {"primary": "apps.console.theme.primary"},
    "ACCOUNT": {"navigation": "apps.console.theme.account_links"},
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
