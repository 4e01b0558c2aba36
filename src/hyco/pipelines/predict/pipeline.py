"""Wiring of the predictions."""

from kedro.pipeline import Pipeline, node, pipeline

from hyco.pipelines.predict.nodes import predict_states, predictions_as_fields


def create_pipeline() -> Pipeline:
    """From trained models and initial states to predictions.nc, and the same as Fields."""
    return pipeline(
        [
            node(
                predict_states,
                [
                    "trained_models",
                    "prediction_states",
                    "cached_observations",
                    "measurements",
                    "params:measurements",
                    "params:equation",
                    "params:observation",
                    "params:predict",
                    "params:experiment",
                    "params:seed",
                ],
                "predicted_states",
                name="predict_states",
            ),
            node(
                predictions_as_fields,
                ["predicted_states", "params:equation"],
                "predicted_fields",
                name="predictions_as_fields",
            ),
        ]
    )
