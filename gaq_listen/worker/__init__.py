"""The worker: it refreshes stale pairs until it is stopped."""
