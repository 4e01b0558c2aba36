"""What happens around a run: the configuration is checked, MLflow follows, the report is named."""

from hyco.hooks.configuration import ConfigurationHooks
from hyco.hooks.reporting import ReportHooks
from hyco.hooks.tracking import MlflowHooks

__all__ = ["ConfigurationHooks", "MlflowHooks", "ReportHooks"]
