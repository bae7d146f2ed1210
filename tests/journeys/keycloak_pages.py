"""Keycloak's own pages as a person clicks through them: the same for the stand-in's and for the real ones."""

import re

from playwright.sync_api import Page, expect


class LoginPage:
    """“Sign in to your account”."""

    def __init__(self, page: Page) -> None:
        self.page, self.title = page, page.get_by_role("heading", name="Sign in to your account")

    def is_shown(self) -> bool:
        """Whether it is what the browser shows; single sign-on goes past it."""
        return self.title.is_visible()

    def sign_in(self, username: str, password: str) -> None:
        expect(self.title).to_be_visible()
        self.page.get_by_label("Username or email").fill(username)
        self.page.get_by_role("textbox", name="Password").fill(password)
        self.page.get_by_role("button", name="Sign In").click()


class PasswordPage:
    """“Update password”, behind the link of Keycloak's mail."""

    def __init__(self, page: Page) -> None:
        self.page, self.title = page, page.get_by_role("heading", name="Update password")

    def open(self, link: str) -> None:
        """From the mail, over the page that says what the link is for."""
        self.page.goto(link)
        expect(self.page.get_by_role("heading", name="Perform the following action(s)")).to_be_visible()
        self.page.get_by_role("link", name="Click here to proceed").click()
        expect(self.title).to_be_visible()

    def fill(self, password: str) -> None:
        self.page.get_by_role("textbox", name="New Password").fill(password)
        self.page.get_by_role("textbox", name="Confirm password").fill(password)

    def submit(self) -> None:
        """Keycloak says that it is done, with a link back."""
        self.page.get_by_role("button", name="Submit").click()
        expect(self.page.get_by_text("Your account has been updated.")).to_be_visible()
        expect(self.page.get_by_role("link", name=re.compile("Back to Application"))).to_be_visible()
