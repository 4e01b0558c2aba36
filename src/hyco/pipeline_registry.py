"""The pipelines that `kedro run --pipelines NAME` knows."""

from kedro.pipeline import Pipeline

from hyco.pipelines.compare import pipeline as compare
from hyco.pipelines.evaluation import pipeline as evaluation
from hyco.pipelines.generation import pipeline as generation
from hyco.pipelines.hybrid import pipeline as hybrid
from hyco.pipelines.physical import pipeline as physical
from hyco.pipelines.predict import pipeline as predict
from hyco.pipelines.synthetic import pipeline as synthetic


def register_pipelines() -> dict[str, Pipeline]:
    """Data generation; each training from an empty `data/` to its report, and all in one (`__default__`); others.

    The others are `compare`, and `predict` with what was trained.
    """
    data = generation.create_pipeline()
    trainings = {
        "synthetic": synthetic.create_pipeline(),
        "physical": physical.create_pipeline(),
        "hybrid": hybrid.create_pipeline(),
    }
    complete = {name: data + part + evaluation.create_pipeline([name]) for name, part in trainings.items()}
    everything = data + sum(trainings.values(), Pipeline([])) + evaluation.create_pipeline(list(trainings))
    others = {"compare": compare.create_pipeline(), "predict": predict.create_pipeline()}
    return {"generation": data, **complete, **others, "__default__": everything}
