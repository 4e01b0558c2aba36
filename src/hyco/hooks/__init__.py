"""What happens around a Kedro run: the configuration is checked first, MLflow records, the report's path comes last."""

from hyco.hooks.configuration import ConfigurationHooks
from hyco.hooks.display import DisplayHooks
from hyco.hooks.figures import FigureHooks
from hyco.hooks.interruption import InterruptionHooks
from hyco.hooks.ownership import OwnershipHooks
from hyco.hooks.reporting import ReportHooks
from hyco.hooks.resuming import ResumeHooks
from hyco.hooks.tracking import MlflowHooks

__all__ = [
    "ConfigurationHooks",
    "DisplayHooks",
    "FigureHooks",
    "InterruptionHooks",
    "MlflowHooks",
    "OwnershipHooks",
    "ReportHooks",
    "ResumeHooks",
]
