"""Progressive rollouts, the pure part: plans, observations, decisions, statistics. No I/O, no clock."""

from __future__ import annotations

from anyservice_core.rollout.events import Event, Kind
from anyservice_core.rollout.journal import Journal
from anyservice_core.rollout.plan import RolloutPlan
from anyservice_core.rollout.replay import Backtest
from anyservice_core.rollout.report import Outcome, RolloutReport, StepReport

__all__ = ["Backtest", "Event", "Journal", "Kind", "Outcome", "RolloutPlan", "RolloutReport", "StepReport"]
