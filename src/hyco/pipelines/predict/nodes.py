"""Predict with whatever an experiment has trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import xarray as xr

    from hyco.predictions.sources import Left
    from hyco.runtime.storage import Bundle


def predict_states(
    trained: dict[str, Left],
    initial_states: xr.Dataset | None,
    observations: Bundle | None,
    measured: xr.Dataset | None,
    measurements: dict[str, Any],
    equation: dict[str, Any],
    observation: dict[str, Any],
    predict: dict[str, Any],
    experiment: str,
    seed: int,
) -> xr.Dataset:
    """The content of predictions.nc; see `hyco.predictions.predict.predict`.

    Args:
        trained: the final models by method, with the initial states that their trainings have left.
        initial_states: arrays of a file; None: the end of the training simulations.
        observations: of the training, where they are there.
        measured: what the file of measurements holds, for its units; None: the experiment has none.
        measurements, equation, observation, predict, experiment, seed: of the configuration.

    Raises:
        PredictionError: the states or the models do not suit the experiment.
    """
    from hyco import __version__
    from hyco.equations.registry import build_equation
    from hyco.measurements.config import MeasurementsConfig
    from hyco.measurements.source import units
    from hyco.observations import ObservationConfig, Observations
    from hyco.predictions import sources
    from hyco.predictions.config import PredictConfig
    from hyco.predictions.predict import predict as roll_out
    from hyco.predictions.predict import with_units
    from hyco.predictions.states import states_of
    from hyco.predictions.tables import with_names_of
    from hyco.training.measured import warn_of_walls

    built, config = build_equation(equation), PredictConfig.model_validate(predict)
    models = sources.trained_models(trained, built)
    seen = None if observations is None else Observations.from_bundle(observations)
    if initial_states is None:
        start = sources.end_of_data(trained, seen, ObservationConfig.model_validate(observation).train_sim)
    else:
        source = str(config.initial_states)
        if measurements:
            initial_states = with_names_of(MeasurementsConfig.model_validate(measurements), initial_states, source)
        states = states_of(initial_states, built.layout, source)
        if any(one.model.estimate is not None for one in models.values()):
            sources.require_suitable(built, states, source)
        start = sources.given(models, states, source, config.time)
    steps = config.steps or sources.data_steps(trained.values(), seen)
    warn_of_walls(built.layout, start.time, start.time + (start.skip + steps) * built.dt)
    dataset = roll_out(
        models,
        built.layout,
        start,
        steps,
        dt=built.dt,
        samples=config.samples,
        static=built.config.is_static,
    )
    if measured is not None:
        dataset = with_units(dataset, units(measured, MeasurementsConfig.model_validate(measurements)))
    described = sources.described(built, experiment=experiment, seed=seed, hyco_version=__version__)
    return dataset.assign_attrs(described)


def predictions_as_fields(predictions: xr.Dataset, equation: dict[str, Any]) -> dict[str, Any]:
    """The same predictions as PhiFlow Fields, by `METHOD.FIELD`."""
    from hyco.equations.registry import build_equation
    from hyco.predictions.fields import fields_of

    return fields_of(predictions, build_equation(equation).layout)
