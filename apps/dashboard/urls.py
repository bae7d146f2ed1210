"""Routes below /dashboard/."""

from django.urls import path

from apps.dashboard import views, views_cancel, views_invoices, views_moves, views_plan, views_sessions

urlpatterns = [
    path("", views.dashboard, name="dashboard"),
    path("reset-password/", views.reset_password, name="reset-password"),
    path("billing/", views.billing_portal, name="billing-portal"),
    path("plan/", views_plan.page, name="own-plan"),
    path("plan/preview/", views_plan.preview, name="own-plan-preview"),
    path("plan/change/", views_plan.change, name="own-plan-change"),
    path("plan/cancel/", views_cancel.page, name="own-cancel"),
    path("plan/cancel/confirm/", views_cancel.confirm, name="own-cancel-confirm"),
    path("plan/cancel/undo/", views_cancel.undo, name="own-cancel-undo"),
    path("invoices/", views_invoices.page, name="own-invoices"),
    path("invoices/show/", views_invoices.show, name="own-invoice"),
    path("moves/", views_moves.page, name="own-moves"),
    path("moves/answer/", views_moves.answer, name="own-moves-answer"),
    path("sessions/", views_sessions.page, name="own-sessions"),
    path("sessions/end/", views_sessions.end, name="own-sessions-end"),
    path("sessions/end-all/", views_sessions.end_all, name="own-sessions-end-all"),
]
