"""The paths of a Nextcloud, as far as the stand-in has them: /nextcloud/<any name> is one of its own."""

from django.urls import path

from apps.sandbox.nextcloud import accounts, answers

API = "<str:host>/ocs/v2.php/cloud"

urlpatterns = [
    path(f"{API}/user", accounts.me),
    path(f"{API}/users", accounts.all_users),
    path(f"{API}/users/<str:user_id>", accounts.one_user),
    path(f"{API}/users/<str:user_id>/enable", accounts.enable),
    path(f"{API}/users/<str:user_id>/disable", accounts.disable),
    path(f"{API}/users/<str:user_id>/groups", accounts.memberships),
    path(f"{API}/groups", accounts.all_groups),
    path("<str:host>/remote.php/dav/files/<str:user_id>/", answers.own_folder),
]
