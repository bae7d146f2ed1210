"""Whole ways through the system, over HTTP and in a browser, with the state of the world at the end.

Ways in a browser that customers go, by clicks and keys alone, and the test that goes each (test_table.py keeps them in step):

happy path                      test_browser_signup::test_a_customer_signs_up_pays_and_uses_the_account
without JavaScript              ../storefront/test_browser_forms::test_a_customer_signs_up_and_pays_without_javascript
declined card, coupon, 3-D Sec. test_browser_checkout::test_a_coupon_and_a_bank_that_asks
debit                           test_browser_checkout::test_a_bank_debit_opens_the_apps_when_the_bank_has_paid
trial with a card, phone        test_browser_checkout::test_a_trial_with_a_card_is_charged_when_it_ends
trial without a card            test_browser_checkout::test_a_trial_without_a_card_goes_on_with_one_that_is_added
tax and tax id, phone           test_browser_checkout::test_a_company_gives_its_tax_id
German, phone, to the app       test_browser_german::test_from_the_first_page_to_the_app
full, waitlist, invited seat    test_browser_waitlist::test_from_the_waitlist_to_the_dashboard
reload, two tabs, two devices   test_browser_interrupted::test_reloads_a_second_tab_and_a_second_device
expired session: public         test_browser_interrupted::test_a_session_that_runs_out
expired session: subscriber     test_browser_expired::test_a_subscriber_is_told_at_every_button
change plan, cancel and undo    test_browser_own_plan::test_another_plan_then_canceled_then_taken_back
plan change: decline, 3-D Sec.  test_browser_own_payments::test_a_bank_refuses_a_change_of_plan_and_another_one_asks
late invoice from the dashboard test_browser_own_payments::test_a_late_invoice_is_paid_from_the_dashboard
late invoice from recovery      test_browser_own_payments::test_a_late_invoice_is_paid_from_recovery_and_the_page_follows
canceled, back by links alone   test_browser_recovery::test_whom_keycloak_lets_in_no_more_finds_the_way_back_by_links_alone
change address, withdraw        test_browser_own_account::test_a_new_address_goes_everywhere_and_is_what_a_withdrawal_asks_for
delete                          test_browser_own_account::test_an_account_is_deleted
invite family, take back        test_browser_family::test_a_member_joins_uses_the_app_and_is_taken_out
sessions on two devices         test_browser_sessions::test_a_subscriber_ends_another_browser_and_then_all_and_the_browser_forgets
what happens next, each state   test_browser_states::test_who_does_not_pay_reads_what_happens_next_in_each_state
"""
