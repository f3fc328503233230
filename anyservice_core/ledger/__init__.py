"""What rollouts on this machine are remembered by: a folder for each service of each control plane.

    <state_dir>/rollouts/recommender-3f2a9c81de/
      service.json     whose it is, and how it was run last
      journal.json     what the latest rollout remembers
      builds/          the same of builds that were condemned, so that they are not tried again
      events.jsonl     what the latest rollout has told
      orders/          what people ask of it, a file each, so that nothing has to be locked
      report.json      how the latest rollout that is over has ended; report.html the same for a browser
      reports/         those of earlier ones too
      run.lock         held by the process that runs it

All of it is a hint, as the journal is: whoever loses it loses time and what people have ordered, never safety.
Rollouts that run on several machines share nothing of it; the service itself keeps them apart.
"""

from __future__ import annotations

from anyservice_core.ledger.lock import Holder, RunLock
from anyservice_core.ledger.store import Ledger, Place

__all__ = ["Holder", "Ledger", "Place", "RunLock"]
