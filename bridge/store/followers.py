"""Finds commits that build on a failed commit.

The next step of an endpoint may run on a state that is not durable yet. When the commit of that state fails, a commit
that builds on it must not be kept either: the ledger would then have a state that no step ever made. A commit builds on
it if it was given before the failure was reported.
"""


class Followers:
    """Counts failures in the writer. A commit's *generation* is the number of failures that its caller knew."""

    def __init__(self) -> None:
        self._failed: dict[int, int] = {}  # endpoint → the generation that knows of its failure
        self._failing = 0  # groups with a failure so far, reported or not

    def __bool__(self) -> bool:
        """Return whether there can be followers of a failure."""
        return bool(self._failed)

    def failed(self, endpoint: int | None) -> None:
        """Record that a commit of the current group was not kept.

        The commit counts under the number that this group will have: groups reported before it do not free its
        followers.
        """
        if endpoint is not None:
            self._failed[endpoint] = self._failing + 1

    def follows(self, endpoint: int | None, generation: int) -> bool:
        """Return whether a commit of this endpoint builds on one that was not kept."""
        if endpoint is None:
            return False
        failed = self._failed.get(endpoint)
        return failed is not None and generation < failed

    def forget(self, oldest: int) -> None:
        """Forget failures that all commits from now on know: their generations are `oldest` or later."""
        self._failed = {endpoint: failed for endpoint, failed in self._failed.items() if failed > oldest}

    def group_ended(self, *, failed: bool) -> None:
        """Record the end of a group; `failed`: it had a failure."""
        self._failing += failed
