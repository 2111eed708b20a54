"""The asyncio shell: time, commit before effects, start, reconciliation, shutdown."""
