"""Routes below /recovery/."""

from django.urls import path

from apps.storefront import views_recovery

urlpatterns = [
    path("", views_recovery.page, name="recovery"),
    path("send-code/", views_recovery.send_code, name="recovery-send-code"),
    path("verify-code/", views_recovery.verify_code, name="recovery-verify-code"),
    path("checkout-session/", views_recovery.checkout_session, name="recovery-checkout-session"),
    path("password/", views_recovery.password_email, name="recovery-password"),
    path("state/", views_recovery.state, name="recovery-state"),
    path("sign-up-again/", views_recovery.sign_up_again, name="recovery-sign-up-again"),
    path("leave/", views_recovery.leave, name="recovery-leave"),
]
