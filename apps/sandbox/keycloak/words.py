"""In which language the pages and emails of the realm are, and what they say in each; texts by the names of Keycloak's messages.

Whose wish counts, in Keycloak's order (26.7.3): the person's own `locale`, the client's `ui_locales`, the browser's languages, the
realm's default; each only with internationalization on, and only a language that the realm has.
"""

from collections.abc import Iterable
from typing import Any

from django.http import HttpRequest
from django.utils.translation.trans_real import parse_accept_lang_header

from apps.sandbox.keycloak import realm

Row = dict[str, Any]

ENGLISH = {
    "loginTitleHtml": "{0}",
    "invalidUserMessage": "Invalid username or password.",
    "accountTemporarilyDisabledMessage": "Invalid username or password.",
    "accountDisabledMessage": "Account is disabled, contact your administrator.",
    "emailSentMessage": "You should receive an email shortly with further instructions.",
    "loginAccountTitle": "Sign in to your account",
    "usernameOrEmail": "Username or email",
    "password": "Password",
    "doLogIn": "Sign In",
    "doForgotPassword": "Forgot Password?",
    "emailForgotTitle": "Forgot Your Password?",
    "emailInstruction": "Enter your username or email address and we will send you instructions on how to create a new password.",
    "updatePasswordTitle": "Update password",
    "passwordRule": "Choose a new password of at least 12 characters.",
    "passwordNew": "New Password",
    "passwordConfirm": "Confirm password",
    "doSubmit": "Submit",
    "doCancel": "Cancel",
    "backToApplication": "« Back to Application",
    "proceedWithAction": "» Click here to proceed",
    "accountUpdated": "Account updated",
    "accountUpdatedMessage": "Your account has been updated.",
    "executeActionsTitle": "Perform the following action(s)",
    "logoutConfirmTitle": "Logging out",
    "logoutConfirmHeader": "Do you want to log out?",
    "doLogout": "Logout",
    "executeActions": "Update Your Account",
    "executeActionsBody": "Your administrator has just requested that you update your {realm} account by performing the following "
    "action(s): {actions}. Click on the link below to start this process.",
    "executeActionsEnd": "If you are unaware that your administrator has requested this, just ignore this message and nothing "
    "will be changed.",
    "verifyEmail": "Verify email",
    "verifyEmailBody": "Someone has created a {realm} account with this email address. If this was you, click the link below to "
    "verify your email address.",
    "verifyEmailEnd": "If you didn't create this account, just ignore this message.",
    "resetCredentials": "Reset password",
    "resetCredentialsBody": "Someone just requested to change your {realm} account's credentials. If this was you, click on the "
    "link below to reset them.",
    "resetCredentialsEnd": "If you don't want to reset your credentials, just ignore this message and nothing will be changed.",
    "linkExpires": "This link will expire within {span}.",
}
GERMAN = {
    "invalidUserMessage": "Ungültiger Benutzername oder ungültiges Passwort.",
    "accountTemporarilyDisabledMessage": "Ungültiger Benutzername oder ungültiges Passwort.",
    "accountDisabledMessage": "Ihr Konto ist gesperrt, bitte wenden Sie sich an die Verwaltung.",
    "emailSentMessage": "Sie erhalten in Kürze eine E-Mail mit weiteren Hinweisen.",
    "loginAccountTitle": "Bei Ihrem Konto anmelden",
    "usernameOrEmail": "Benutzername oder E-Mail",
    "password": "Passwort",
    "doLogIn": "Anmelden",
    "doForgotPassword": "Passwort vergessen?",
    "emailForgotTitle": "Passwort vergessen?",
    "emailInstruction": "Geben Sie Ihren Benutzernamen oder Ihre E-Mail-Adresse ein. Sie bekommen dann eine E-Mail, mit der Sie ein "
    "neues Passwort setzen.",
    "updatePasswordTitle": "Passwort aktualisieren",
    "passwordRule": "Wählen Sie ein neues Passwort mit mindestens 12 Zeichen.",
    "passwordNew": "Neues Passwort",
    "passwordConfirm": "Passwort bestätigen",
    "doSubmit": "Absenden",
    "doCancel": "Abbrechen",
    "backToApplication": "« Zurück zur Anwendung",
    "proceedWithAction": "» Hier geht es weiter",
    "accountUpdated": "Konto aktualisiert",
    "accountUpdatedMessage": "Ihr Konto ist aktualisiert.",
    "executeActionsTitle": "Bitte tun Sie Folgendes",
    "logoutConfirmTitle": "Abmelden",
    "logoutConfirmHeader": "Möchten Sie sich abmelden?",
    "doLogout": "Abmelden",
    "executeActions": "Aktualisieren Sie Ihr Konto",
    "executeActionsBody": "Die Verwaltung bittet Sie, in Ihrem Konto bei {realm} Folgendes zu tun: {actions}. Mit dem Link hier unten "
    "fangen Sie an.",
    "executeActionsEnd": "Wenn Sie davon nichts wissen, lassen Sie diese Nachricht einfach liegen. Es ändert sich dann nichts.",
    "verifyEmail": "E-Mail verifizieren",
    "verifyEmailBody": "Mit dieser E-Mail-Adresse ist ein Konto bei {realm} angelegt worden. Wenn Sie das waren, bestätigen Sie die "
    "Adresse mit dem Link hier unten.",
    "verifyEmailEnd": "Wenn Sie das nicht waren, lassen Sie diese Nachricht einfach liegen.",
    "resetCredentials": "Passwort zurücksetzen",
    "resetCredentialsBody": "Für Ihr Konto bei {realm} soll ein neues Passwort gesetzt werden. Wenn Sie das möchten, nehmen Sie den "
    "Link hier unten.",
    "resetCredentialsEnd": "Wenn Sie das nicht möchten, lassen Sie diese Nachricht einfach liegen. Es ändert sich dann nichts.",
    "linkExpires": "Der Link gilt {span}.",
    "UPDATE_PASSWORD": "Passwort aktualisieren",
    "VERIFY_EMAIL": "E-Mail verifizieren",
    "day": "Tag", "days": "Tage", "hour": "Stunde", "hours": "Stunden", "minute": "Minute", "minutes": "Minuten", "seconds": "Sekunden",
}  # fmt: skip
LANGUAGES = {"en": ENGLISH, "de": GERMAN}


def texts(language: str) -> dict[str, str]:
    """All messages in a language: the realm's own before Keycloak's, English where it has none."""
    return ENGLISH | LANGUAGES.get(language, {}) | realm.texts(language)


def speak(request: HttpRequest, *, user: Row | None = None, asked: str = "") -> None:
    """Answer this request in the language of `user`, else in one of those that the client has `asked` for, with spaces between."""
    request.spoken = [*_own(user), *asked.split()]  # type: ignore[attr-defined]


def of_request(request: HttpRequest) -> str:
    """The language of the page that answers this request."""
    browser = (code for code, _weight in parse_accept_lang_header(request.headers.get("Accept-Language", "")))
    return _first_known([*getattr(request, "spoken", ()), *browser])


def of_person(user: Row) -> str:
    """The language of an email to them."""
    return _first_known(_own(user))


def _own(user: Row | None) -> list[str]:
    return list(user["attributes"].get("locale", ())) if user else []


def _first_known(wishes: Iterable[str]) -> str:
    rules = realm.settings_of_realm()
    default = str(rules.get("defaultLocale") or "en")
    if not rules.get("internationalizationEnabled"):
        return "en"
    codes = (code.replace("_", "-").split("-")[0].lower() for code in wishes)
    return next((code for code in codes if code in rules.get("supportedLocales", ())), default)
