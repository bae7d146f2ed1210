"""The languages of the site and its emails. From the environment; settings import them."""

from pathlib import Path

from config.environment import several

LANGUAGES = [("en-gb", "English"), ("de", "Deutsch")]  # see apps/core/languages.py
LOCALE_PATHS = [Path(__file__).resolve().parent.parent / "locale"]
# Those that the operator offers; the first is for people who read none of them.
SITE_LANGUAGES = several("SITE_LANGUAGES", "en", ("en", "de"))
LANGUAGE_COOKIE_AGE = 365 * 86_400
