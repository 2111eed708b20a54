"""3GPP Non-IP Data Delivery: T8 client, notification listener, models."""
