"""Calls that show the data and the store, and serve the champion."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.api.common import find_source, writing_to
from experiments.tracking.records import REGISTERED_MODEL
from mnist_core.errors import SpecError
from mnist_core.messages import OnMessage, print_to_stderr

if TYPE_CHECKING:
    from experiments.api.results import DataPreview


def inspect_data(data: str | Path | None = None, *, on_message: OnMessage = print_to_stderr) -> DataPreview:
    """The training images that a sweep would use; the test set is not read.

    Raises:
        DataError: the data cannot be read.
    """
    from experiments.api.results import DataPreview
    from mnist_core.data.sources import dataset_name

    source = find_source(data, None, on_message)
    training = source.load_training()
    return DataPreview(dataset_name(source, training), source.origin.value, source.location, training)


def serve(
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    name: str = REGISTERED_MODEL,
    collect: str | Path | None = None,
    allowed_hosts: str | Iterable[str] = (),
    tracking_uri: str | None = None,
    on_message: OnMessage = print_to_stderr,
) -> None:
    """Serve the champion on a web page and over HTTP, until Ctrl-C; a new champion is loaded as soon as it is set.

    Args:
        host: address to bind to; ``0.0.0.0`` admits other machines.
        port: 0 for any free one.
        name: of the registered model.
        collect: folder for drawings that users correct.
        allowed_hosts: a further name by which this machine may be asked, or several.
        tracking_uri: the MLflow store.
        on_message: called with each line that the user should read.

    Raises:
        SpecError: the folder cannot be written, or holds files of MNIST.
        StoreError: the store is of a kind that cannot be used.
    """
    from experiments.registry.model_source import RegistryModelSource
    from experiments.tracking import store
    from mnist_core import runtime
    from mnist_core.data.sources import holds_idx_files
    from serving import server
    from serving.app import LOCAL_HOSTS, NO_CHAMPION, Settings, create_app
    from serving.model_manager import ModelManager, load_predictor

    folder = Path(collect) if collect is not None else None
    if folder is not None:
        if holds_idx_files(folder):
            raise SpecError(f"--collect {folder}: it holds files of MNIST; expected a folder for feedback alone")
        with writing_to("--collect", folder):
            folder.mkdir(parents=True, exist_ok=True)
    source = RegistryModelSource(store.tracking_uri(tracking_uri), name)
    further = [allowed_hosts] if isinstance(allowed_hosts, str) else allowed_hosts
    listener = server.listen(host, port)
    # TensorFlow is loaded where Keras has to predict, and set up once.
    prepare_keras = cache(partial(runtime.configure, threads=1))
    manager = ModelManager(source, partial(load_predictor, prepare_keras=prepare_keras))
    manager.check()
    if manager.champion:
        model = manager.champion.info
        on_message(f"champion   {model.name} version {model.version}, {model.run}")
    else:
        on_message(manager.problem or NO_CHAMPION)
    shown = f"[{host}]" if ":" in host else host
    on_message(f"page       http://{shown}:{listener.getsockname()[1]}   (Ctrl-C ends it)")
    server.run(create_app(manager, Settings(hosts=(*LOCAL_HOSTS, shown, *further), collect=folder)), listener)


def ui(tracking_uri: str | None = None, port: int = 5000) -> None:
    """Open the MLflow UI on the store. This process becomes its server, so nothing after this call is run.

    For a store on a server, the address of its UI is printed instead, and the call returns.

    Args:
        tracking_uri: the MLflow store.
        port: on 127.0.0.1.

    Raises:
        SpecError: ``port`` is no port.
        StoreError: there is no store yet, or the port is taken.
    """
    from experiments.tracking import store

    if isinstance(port, bool) or not isinstance(port, int) or not 1 <= port <= 65535:
        raise SpecError(f"port: expected 1 to 65535, received {port!r}")
    store.serve_ui(store.tracking_uri(tracking_uri), port)
