"""Routes below /onboarding/."""

from django.urls import path

from apps.storefront import (
    brand_colors,
    views,
    views_account,
    views_checkout,
    views_join,
    views_success,
    views_waitlist,
)

urlpatterns = [
    path("", views.welcome, name="onboarding-welcome"),
    path("plan/", views.plan, name="onboarding-plan"),
    path("addons/", views.addons, name="onboarding-addons"),
    path("checkout/", views.checkout, name="onboarding-checkout"),
    path("confirm/", views.confirm, name="onboarding-confirm"),
    path("account/", views_account.own, name="onboarding-account"),
    path("checkout/send-code/", views_checkout.send_code, name="onboarding-send-code"),
    path("checkout/verify-code/", views_checkout.verify_code, name="onboarding-verify-code"),
    path("checkout/validate/", views_checkout.validate, name="onboarding-validate"),
    path("checkout/session/", views_checkout.session, name="onboarding-session"),
    path("success/", views_success.success, name="onboarding-success"),
    path("success/state/", views_success.success_state, name="onboarding-success-state"),
    path("success/resend-password/", views_success.resend_password, name="onboarding-resend-password"),
    path("cancel/", views.cancel, name="onboarding-cancel"),
    path("waitlist/", views_waitlist.page, name="onboarding-waitlist"),
    path("waitlist/submit/", views_waitlist.submit, name="onboarding-waitlist-submit"),
    path("waitlist/confirm/<str:token>/", views_waitlist.confirm, name="onboarding-waitlist-confirm"),
    path("waitlist/leave/<str:token>/", views_waitlist.leave, name="onboarding-waitlist-leave"),
    path("waitlist/invitation/<str:token>/", views_waitlist.invitation, name="onboarding-waitlist-invitation"),
    path("join/<str:token>/", views_join.join, name="onboarding-join"),
    path("brand.css", brand_colors.brand_css, name="brand-css"),
]
