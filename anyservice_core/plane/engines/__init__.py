"""What runs a version. ``base`` is the protocol; ``ray_cluster`` and ``process`` are the engines."""

from .base import Engine, EngineState, Observed, VersionSpec
from .process import ProcessEngine
from .ray_cluster import RayEngine

__all__ = ["Engine", "EngineState", "Observed", "ProcessEngine", "RayEngine", "VersionSpec"]
