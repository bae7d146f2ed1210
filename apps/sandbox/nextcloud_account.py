"""The one administrator of every Nextcloud of the sandbox, and the app password that opens it."""

ADMIN = "frontdesk"
APP_PASSWORD = "sandbox-app-password"  # noqa: S105
