"""Keycloak's own pages as a person clicks through them: the same for the stand-in's and for the real ones.

In English, or in German.
"""

import re

from playwright.sync_api import Page, expect


class LoginPage:
    """“Sign in to your account”."""

    def __init__(self, page: Page) -> None:
        self.page, self.title = (
            page,
            page.get_by_role("heading", name=re.compile("Sign in to your account|Bei Ihrem Konto anmelden")),
        )

    def is_shown(self) -> bool:
        """Whether it is what the browser shows; single sign-on goes past it."""
        return self.title.is_visible()

    def sign_in(self, username: str, password: str) -> None:
        expect(self.title).to_be_visible()
        self.page.get_by_label(re.compile("Username or email|Benutzername oder E-Mail")).fill(username)
        self.page.get_by_role("textbox", name=re.compile("Password|Passwort")).fill(password)
        self.page.get_by_role("button", name=re.compile("Sign In|Anmelden")).click()


class PasswordPage:
    """“Update password”, behind the link of Keycloak's mail."""

    def __init__(self, page: Page) -> None:
        self.page, self.title = (
            page,
            page.get_by_role("heading", name=re.compile("Update password|Passwort aktualisieren")),
        )

    def open(self, link: str) -> None:
        """From the mail, over the page that says what the link is for."""
        self.page.goto(link)
        expect(
            self.page.get_by_role("heading", name=re.compile("Perform the following action|Bitte tun Sie Folgendes"))
        ).to_be_visible()
        self.page.get_by_role("link", name=re.compile("Click here to proceed|Hier geht es weiter")).click()
        expect(self.title).to_be_visible()

    def fill(self, password: str) -> None:
        self.page.get_by_role("textbox", name=re.compile("New Password|Neues Passwort")).fill(password)
        self.page.get_by_role("textbox", name=re.compile("Confirm password|Passwort bestätigen")).fill(password)

    def submit(self) -> None:
        """Keycloak says that it is done, with a link back."""
        self.page.get_by_role("button", name=re.compile("Submit|Absenden")).click()
        expect(
            self.page.get_by_text(re.compile("Your account has been updated|Ihr Konto ist aktualisiert"))
        ).to_be_visible()
        expect(
            self.page.get_by_role("link", name=re.compile("Back to Application|Zurück zur Anwendung"))
        ).to_be_visible()
