"""What messages cost, and how much of that is allowed: counters per endpoint and day, quotas, estimates. No I/O."""
