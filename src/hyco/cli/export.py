"""`hyco export`: a trained network as a program that torch alone runs."""

from __future__ import annotations

from pathlib import Path

import click

from hyco.cli.project import experiment_of, project_folder

_NETWORKS = ("hybrid_synthetic", "synthetic")


@click.command()
@click.option("--env", "-e", help="The experiment, a folder of conf/; by default that of `kedro run`.")
@click.option("--format", "kind", type=click.Choice(["torch-export"]), default="torch-export", show_default=True)
@click.option("--model", type=click.Choice(_NETWORKS), help="By default the hybrid's network, where there is one.")
@click.option("--folder", type=click.Path(path_type=Path), help="Of trained models; by default the experiment's.")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="By default MODEL.pt2 in the folder.")
def export(env: str | None, kind: str, model: str | None, folder: Path | None, output: Path | None) -> None:
    """Write a trained network as a program of torch.export, with its normalisation.

    It takes states [B, C, *space] in units of the channels, float64, and gives those one time step later:
    `torch.export.load("MODEL.pt2").module()(states)`.
    """
    from hyco.api import files
    from hyco.hybrid.correction import model_from_bundle
    from hyco.networks.export import ExportError, export_network

    if folder is None:
        project = project_folder()
        folder = project / "data" / "06_models" / experiment_of(project, env)
    there: dict[str, Path] = {}
    for training in files.trainings_in(folder):
        there |= {method: path for method, path in files.files_of(folder, training).items() if method in _NETWORKS}
    chosen = model or next((name for name in _NETWORKS if name in there), None)
    if chosen is None or chosen not in there:
        found = f"there is {', '.join(there)}" if there else "train one, for instance with `hyco --pipelines hybrid`"
        raise click.ClickException(f"{folder} holds no trained network{f' {model}' if model else ''}: {found}")
    output = output or folder / f"{chosen}.pt2"
    try:
        export_network(model_from_bundle(files.read_network(there[chosen])), output, method=chosen)
    except (ExportError, OSError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"Exported: {output}")
