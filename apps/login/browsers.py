"""What a browser is called by people, from what it says of itself."""

from django.utils.translation import gettext as _

# The first that a user agent names: Edge and Opera name Chrome too, and all of them Safari. Considered: ua-parser, hundreds of
# patterns for two words.
BROWSERS = {"Edg": "Edge", "OPR": "Opera", "Firefox": "Firefox", "FxiOS": "Firefox", "Chrome": "Chrome", "CriOS": "Chrome",
            "Safari": "Safari"}  # fmt: skip
SYSTEMS = {"Windows": "Windows", "Android": "Android", "iPhone": "iPhone", "iPad": "iPad", "Mac OS": "macOS", "CrOS": "ChromeOS",
           "Linux": "Linux"}  # fmt: skip


def name_browser(user_agent: str) -> str:
    """Firefox on Windows, as far as the browser says."""
    browser = next((name for mark, name in BROWSERS.items() if mark in user_agent), "") or _("Another browser")
    system = next((name for mark, name in SYSTEMS.items() if mark in user_agent), "")
    return _("{browser} on {system}").format(browser=browser, system=system) if system else browser
