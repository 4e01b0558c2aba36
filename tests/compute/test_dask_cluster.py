"""A scheduler and workers that were started by hand, in another folder, with TLS."""

import datetime
import ipaddress
import json
import logging
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Future
from types import SimpleNamespace

import distributed
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hyco.compute import ComputeConfig, ComputeError, Piece, dask_cluster, open_engine, outcomes
from hyco.runtime.random_streams import stream_seed


def refused(**keys):
    with pytest.raises(ComputeError) as caught, open_engine(ComputeConfig(**keys)):
        pass
    return str(caught.value)


def test_without_dask_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert "pip install 'hyco[cluster]'" in refused(scheduler="tcp://127.0.0.1:1")


def test_a_scheduler_that_is_not_there_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(dask_cluster, "_PATIENCE", 0.5)
    assert "tcp://127.0.0.1:9 does not answer" in refused(scheduler="tcp://127.0.0.1:9")
    assert "none.json cannot be read (No such file" in refused(scheduler=str(tmp_path / "none.json"))
    (tmp_path / "other.json").write_text("{}")
    assert "other.json is no scheduler file: it has no address" in refused(scheduler=str(tmp_path / "other.json"))
    tls = {"ca": str(tmp_path / "ca.pem"), "certificate": str(tmp_path / "c.pem"), "key": str(tmp_path / "k.pem")}
    (tmp_path / "open.json").write_text('{"address": "tcp://127.0.0.1:9"}')
    assert "tcp://127.0.0.1:9 and compute.security do not fit" in refused(
        scheduler=str(tmp_path / "open.json"), security=tls
    )
    assert "compute.security.ca" in refused(scheduler="tls://127.0.0.1:9", security=tls)


@pytest.mark.parametrize(
    ("address", "warned"),
    [("tcp://10.0.0.7:8786", True), ("tcp://127.0.0.1:8786", False), ("tls://10.0.0.7:8786", False)],
)
def test_an_open_scheduler_beyond_this_machine_is_warned_of(address, warned, caplog):
    with caplog.at_level(logging.WARNING):
        dask_cluster._warn_if_open(address)
    assert ("can run any program" in caplog.text) == warned


def written(path, content):
    path.write_bytes(content)
    return str(path)


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    """Files of an authority of a day, and of one certificate by it."""
    folder, now = tmp_path_factory.mktemp("tls"), datetime.datetime.now(datetime.UTC)
    authority, own = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in ("authority", "127.0.0.1")]

    def certificate(name, key, is_authority):
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(names[0])
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
            .sign(authority, hashes.SHA256())
            .public_bytes(serialization.Encoding.PEM)
        )

    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return {
        "ca": written(folder / "ca.pem", certificate(names[0], authority, True)),
        "certificate": written(folder / "own.pem", certificate(names[1], own, False)),
        "key": written(folder / "own.key", own.private_bytes(pem, pkcs8, serialization.NoEncryption())),
    }


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, tls):
    """The scheduler's file, and the processes; each is ended."""
    folder = tmp_path_factory.mktemp("elsewhere")
    files = ["--tls-ca-file", tls["ca"], "--tls-cert", tls["certificate"], "--tls-key", tls["key"], "--no-dashboard"]
    own = ["--host", "127.0.0.1", "--protocol", "tls", "--scheduler-file", "scheduler.json", *files]
    begun = []

    def start(*arguments):
        command = [sys.executable, "-m", "dask", *arguments]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        begun.append(
            subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        )

    start("scheduler", "--port", "0", *own)
    deadline = time.monotonic() + 60
    while not (folder / "scheduler.json").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for _ in range(2):
        start("worker", "--nthreads", "1", "--no-nanny", *own)
    yield folder / "scheduler.json", begun
    for process in reversed(begun):
        process.send_signal(signal.SIGTERM)
    for process in begun:
        process.wait(30)


def test_a_piece_whose_workers_all_died_is_lost():
    inner, outer = Future(), Future()
    inner.set_exception(distributed.KilledWorker("piece", None, 3))
    dask_cluster._pass_on(inner, outer)
    assert str(outer.exception()) == "4 workers have died with it"
    assert outer.exception().final


@pytest.mark.slow
def test_a_cluster_does_what_this_process_does_and_a_dead_scheduler_is_told(cluster, tls, tmp_path, monkeypatch):
    path, processes = cluster
    address = json.loads(path.read_text())["address"]
    with monkeypatch.context() as patched:
        patched.setattr(dask_cluster, "_PATIENCE", 2)
        assert "does not answer" in refused(scheduler=address.replace("tls", "tcp"))
    pieces = [Piece("hyco.runtime.random_streams:stream_seed", {"seed": i}, f"seed {i}") for i in range(20)]
    with open_engine(ComputeConfig(scheduler=str(path), security=tls)) as engine:
        assert dict(outcomes(engine, pieces, folder=tmp_path)) == {i: stream_seed(i) for i in range(20)}
        assert len(list(tmp_path.rglob("*.json"))) == 20
        processes[0].kill()
        with pytest.raises(ComputeError, match=f"the scheduler at {address} is gone.*resume=true"):
            list(outcomes(engine, pieces))


def test_a_client_that_dask_has_closed_hides_no_error():
    closed = distributed.client.ClosedClientError
    cluster, ended = object.__new__(dask_cluster.DaskCluster), []

    def cancel(_: bool) -> None:
        raise closed("Client is closed. Can't send cancel-keys message.")

    cluster._executor = SimpleNamespace(shutdown=cancel)
    cluster._client = SimpleNamespace(close=lambda: ended.append(True))
    cluster.shutdown(cancel_futures=True)  # raises nothing, which would come before what the pieces have raised
    assert ended


def test_what_is_submitted_after_dask_gave_the_scheduler_up_is_cancelled():
    cluster = object.__new__(dask_cluster.DaskCluster)

    def submit(*_: object) -> None:
        raise distributed.client.ClosedClientError("Client is closed. Can't send update-graph message.")

    cluster._executor = SimpleNamespace(submit=submit)
    assert cluster.submit(int).cancelled()
