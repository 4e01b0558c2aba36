"""Kedro's settings of this project: experiments are configuration environments over `conf/base`."""

from hyco.hooks import (
    ConfigurationHooks,
    DisplayHooks,
    FigureHooks,
    InterruptionHooks,
    MlflowHooks,
    OwnershipHooks,
    ReportHooks,
    ResumeHooks,
)
from hyco.hooks.session import Session

CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "burgers_1d",
    # An experiment states only what it changes; Kedro's default would drop the other keys of a section.
    "merge_strategy": {"parameters": "soft"},
}

# The last of those that want to be first is: nothing is read of an experiment that another run has. Else a later one is
# called before an earlier one: what is shown is shown while MLflow makes its database.
HOOKS = (
    ConfigurationHooks(),
    InterruptionHooks(),
    MlflowHooks(),
    DisplayHooks(),
    FigureHooks(),
    ReportHooks(),
    ResumeHooks(),
    OwnershipHooks(),
)

SESSION_CLASS = Session
