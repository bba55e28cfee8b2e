"""Run the tests in several processes, and those marked ``alone`` in one process, after all others have ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from xdist.scheduler import LoadFileScheduling

if TYPE_CHECKING:
    import pytest
    from xdist.remote import Producer
    from xdist.workermanage import WorkerController


class AloneLast(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
    """Give each process one file after the other, and the files whose tests are marked ``alone`` to the last process.

    The files must be collected in that order: those marked ``alone`` come last. A process that has nothing else to do
    ends, so that its server is gone, before the last process begins with them.
    """

    def __init__(self, config: pytest.Config, log: Producer, is_alone: Callable[[str], bool]) -> None:
        """Take the rule that says whether the tests of a file, such as ``tests/faults/test_idle.py``, are so marked."""
        super().__init__(config, log)
        # xdist would otherwise put the files with most tests first.
        config.option.loadscopereorder = False
        self._is_alone = is_alone

    def _assign_work_unit(self, node: WorkerController) -> None:
        if self._is_alone(next(iter(self.workqueue))) and len(self.nodes) > 1:
            if sum(not other.shutting_down for other in self.nodes) > 1:
                node.shutdown()
        else:
            super()._assign_work_unit(node)

    def remove_node(self, node: WorkerController) -> str | None:
        """Forget a process that has ended, and give the last one the tests that waited for that."""
        crashed: str | None = super().remove_node(node)
        for last in self.nodes if len(self.nodes) == 1 else ():
            # xdist begins with a test only when it knows the next one.
            while self.workqueue and self._pending_of(self.assigned_work[last]) <= 2:
                self._assign_work_unit(last)
            self._reschedule(last)
        return crashed
