"""The paths of an Immich, as far as the stand-in has them: /immich/<any name> is one of its own."""

from django.urls import path

from apps.sandbox.immich import answers, users

API = "<str:host>/api"

urlpatterns = [
    path(f"{API}/api-keys/me", users.my_key),
    path(f"{API}/users/me", users.me),
    path(f"{API}/system-config", users.config),
    path(f"{API}/admin/users", users.all_users),
    path(f"{API}/admin/users/<str:user_id>", users.one_user),
    path(f"{API}/admin/users/<str:user_id>/restore", users.restore),
    path("<str:host>", answers.no_route),
    path("<str:host>/<path:rest>", answers.no_route),
]
