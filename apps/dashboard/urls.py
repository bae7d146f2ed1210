"""Routes below /dashboard/."""

from django.urls import path

from apps.dashboard import (
    views,
    views_account,
    views_address,
    views_cancel,
    views_data,
    views_invoices,
    views_moves,
    views_people,
    views_plan,
    views_sessions,
)

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
    path("account/", views_account.page, name="own-account"),
    path("account/name/", views_account.change_name, name="own-account-name"),
    path("account/address/", views_address.page, name="own-address"),
    path("objection/<str:token>/", views_address.objection, name="address-objection"),
    path("account/data/", views_data.page, name="own-data"),
    path("account/data/ask/", views_data.ask, name="own-data-ask"),
    path("account/data/read/", views_data.read, name="own-data-read"),
    path("account/data/file/", views_data.download, name="own-data-file"),
    path("account/delete/", views_data.delete_page, name="own-delete"),
    path("account/delete/confirm/", views_data.delete, name="own-delete-confirm"),
    path("moves/", views_moves.page, name="own-moves"),
    path("moves/answer/", views_moves.answer, name="own-moves-answer"),
    path("people/", views_people.page, name="own-people"),
    path("people/invite/", views_people.invite, name="own-people-invite"),
    path("people/end/", views_people.end, name="own-people-end"),
    path("people/leave/", views_people.leave, name="own-people-leave"),
    path("sessions/", views_sessions.page, name="own-sessions"),
    path("sessions/end/", views_sessions.end, name="own-sessions-end"),
    path("sessions/end-all/", views_sessions.end_all, name="own-sessions-end-all"),
]
