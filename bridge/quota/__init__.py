"""What messages cost, and how much is allowed: counters per endpoint and day, quotas, estimates. No I/O."""
