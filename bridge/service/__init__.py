"""The asyncio shell: owns time, commit-then-act, start, reconciliation, shutdown."""
