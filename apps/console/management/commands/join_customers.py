"""`manage.py join_customers`: puts every customer's Keycloak account into KEYCLOAK_PARENT_GROUP, whose members we manage.

For realms older than that rule, while our account there still has manage-users. It can be repeated.
"""

from typing import override

from django.core.management.base import BaseCommand, CommandError

from apps.accounts.models import UserProfile
from apps.core.errors import WorkError
from apps.identity import reach


class Command(BaseCommand):
    help = "Put every customer's Keycloak account into KEYCLOAK_PARENT_GROUP, before its account loses manage-users."

    @override
    def handle(self, *args: object, **options: object) -> None:
        people = UserProfile.objects.filter(keycloak_id__isnull=False)
        try:
            refused = reach.join_parent_group([one.keycloak_id or "" for one in people.only("keycloak_id")])
        except WorkError as error:
            raise CommandError(error.reason) from error
        self.stdout.write(f"In the group: {people.count() - len(refused)} of {people.count()}.")
        if refused:
            raise CommandError(f"These are not, as Keycloak refused: {', '.join(refused)}.")
