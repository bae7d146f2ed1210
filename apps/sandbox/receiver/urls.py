"""The one path of a receiver: /receiver/<any name> is one of its own."""

from django.urls import path

from apps.sandbox.receiver import messages

urlpatterns = [path("<str:host>", messages.receive)]
