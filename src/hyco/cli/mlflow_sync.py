"""`hyco mlflow-sync`: what MLflow did not take while runs went on."""

from __future__ import annotations

import click

from hyco.cli.project import project_folder


@click.command("mlflow-sync")
def mlflow_sync() -> None:
    """Send what MLflow did not take: runs keep it in data/.mlflow_queue while MLflow does not answer.

    It goes where runs go: to MLFLOW_TRACKING_URI, or without it to mlflow.db in the project's folder.
    """
    from hyco.hooks.outbox import send_queues

    failed, any_of_them = False, False
    for path, count, mistake in send_queues(project_folder()):
        any_of_them = True
        if mistake is None:
            click.echo(f"{path.stem}: {count} entries were sent.")
        else:
            failed = True
            click.echo(f"{path}: {mistake}", err=True)
    if failed:
        raise click.ClickException("not all was sent: run `hyco mlflow-sync` again when MLflow answers")
    if not any_of_them:
        click.echo("Nothing waits for MLflow.")
