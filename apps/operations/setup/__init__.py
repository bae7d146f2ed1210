"""`manage.py setup`: asks what a house needs to know, makes it at Stripe, Keycloak and Mailgun, and writes `.env` and secret files."""
