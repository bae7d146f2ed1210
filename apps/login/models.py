"""Logout tokens that Keycloak's back channel has used."""

import datetime as dt
from typing import override

from django.db import connection, models

from apps.core import clock


class UsedLogoutToken(models.Model):
    """A logout token of Keycloak's back channel that has been used; its `jti` works once."""

    KEPT = dt.timedelta(days=1)  # far beyond the minutes in which a token is taken

    jti = models.CharField(max_length=255, unique=True)
    used_at = models.DateTimeField(db_index=True)

    @override
    def __str__(self) -> str:
        return self.jti

    @classmethod
    def use(cls, jti: str) -> bool:
        """Note the use of `jti`; False when it was used before."""
        now = clock.now()
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO login_usedlogouttoken (jti, used_at) VALUES (%s, %s) ON CONFLICT (jti) DO NOTHING",
                [jti, now],
            )
            return bool(cursor.rowcount)

    @classmethod
    def prune(cls) -> None:
        """Forget tokens that have long run out."""
        cls.objects.filter(used_at__lt=clock.now() - cls.KEPT).delete()
