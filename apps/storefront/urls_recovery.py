"""Routes below /recovery/."""

from django.urls import path

from apps.storefront import views_recovery

urlpatterns = [
    path("", views_recovery.page, name="recovery"),
    path("send-code/", views_recovery.send_code, name="recovery-send-code"),
    path("verify-code/", views_recovery.verify_code, name="recovery-verify-code"),
    path("checkout-session/", views_recovery.checkout_session, name="recovery-checkout-session"),
    path("password/", views_recovery.password_mail, name="recovery-password"),
    path("state/", views_recovery.state, name="recovery-state"),
    path("begin-anew/", views_recovery.begin_anew, name="recovery-begin-anew"),
    path("leave/", views_recovery.leave, name="recovery-leave"),
]
