"""The first administrator of every Immich of the sandbox, and the API key of its account."""

ADMIN = "admin@photos.example.com"
API_KEY = "sandbox-immich-api-key"
