"""Where commands may be started."""


def test_without_a_project_it_is_said_what_to_do(tmp_path, monkeypatch, hyco):
    monkeypatch.chdir(tmp_path)
    done = hyco("new", "mine", "--from", "mine.csv")
    assert done.exit_code == 1
    assert "tar xzf conf-hyco.tar.gz" in done.output


def test_the_configuration_alone_is_enough(project, hyco, made):
    """As where hyco is installed from a wheel."""
    (project / "pyproject.toml").unlink()
    made["sensors"]().to_csv(project / "data" / "01_raw" / "plate.csv", index=False)
    done = hyco("new", "mine", "--from", "data/01_raw/plate.csv", "--equation", "heat")
    assert done.exit_code == 0, done.output
    done = hyco("check", "--env", "mine")
    assert done.exit_code == 0, done.output
    assert "unknown:" in done.output
