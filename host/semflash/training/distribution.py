"""One training on several GPUs or machines: data parallelism by TensorFlow's own ``tf.distribute``.

Every replica takes its rows of the same seeded batch; gradients are averaged before they are clipped, and
BatchNorm takes its statistics over the whole batch. So a distributed run follows the run of one process with
the same recipe, up to the order of float additions. (Close to it, not equal, are a detector's loss, which is
per object of a replica's own rows, and the usage term, whose share of codes is counted over them.)

Workers are told apart by ``TF_CONFIG`` (TensorFlow's guide "Multi-worker training with Keras"). All of them
read data and checkpoint, the first one, the chief, validates and writes; the run's directory lies on a common
file system.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from typing import Any, Literal

import keras

from semflash.errors import UsageError

Mode = Literal["mirrored", "multi-worker"]
MODES: tuple[Mode, ...] = ("mirrored", "multi-worker")
CLUSTER_VARIABLE = "TF_CONFIG"


class Distribution:
    """One process, one device: what a training does unless it is told otherwise.

    Attributes:
        replicas: That share a batch. rank, workers: of this process.
        chief: Validates and writes.
    """

    replicas = 1
    rank = 0
    workers = 1

    @property
    def chief(self) -> bool:
        return self.rank == 0

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """Within it, models and optimizers are made."""
        return contextlib.nullcontext()

    def optimizer(self, schedule: Any, **options: Any) -> Any:
        """AdamW."""
        return keras.optimizers.AdamW(schedule, **options)

    def barrier(self) -> None:
        """Wait until every worker has come here."""

    def trainer(self, model: keras.Model, *, local: bool) -> Callable[[Any, Any], float]:
        """A function (x, y) -> loss that makes one step of a compiled model.

        Args:
            local: batches hold only this worker's rows; else the rows of all.
        """
        del local
        return lambda x, y: float(model.train_on_batch(x, y))


ALONE = Distribution()


class TensorFlowDistribution(Distribution):
    """Replicas of a ``tf.distribute`` strategy."""

    def __init__(self, strategy: Any) -> None:
        self._strategy = strategy
        resolver = strategy.cluster_resolver
        spec = resolver.cluster_spec().as_dict() if resolver is not None else {}
        self.workers = max(1, sum(len(hosts) for job, hosts in spec.items() if job in ("chief", "worker")))
        self.replicas = int(strategy.num_replicas_in_sync)
        if self.workers > 1:
            self.rank = int(resolver.task_id) + (resolver.task_type == "worker") * len(spec.get("chief", ()))

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """The strategy's."""
        scope: contextlib.AbstractContextManager[Any] = self._strategy.scope()
        return scope

    def optimizer(self, schedule: Any, **options: Any) -> Any:
        """AdamW for gradients that are averaged already."""
        return _averaged_adamw()(schedule, **options)

    def barrier(self) -> None:
        """A sum over all replicas, which ends nowhere before it has begun everywhere."""
        import tensorflow as tf

        def one() -> Any:
            context = tf.distribute.get_replica_context()
            return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.constant(1.0))

        tf.function(lambda: self._strategy.run(one))()

    def trainer(self, model: keras.Model, *, local: bool) -> Callable[[Any, Any], float]:
        """See the base class; the batch is divided among the replicas, which it must divide by."""
        import tensorflow as tf

        strategy, replicas = self._strategy, self.replicas
        here = replicas // self.workers if local else replicas
        first = self.rank * here if local else 0
        for layer in model._flatten_layers():
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized = True

        def replica_step(x: Any, y: Any) -> Any:
            with tf.GradientTape() as tape:
                loss = model.compute_loss(x=x, y=y, y_pred=model(x, training=True), training=True)
            pairs = zip(
                tape.gradient(loss, model.trainable_variables), model.trainable_variables, strict=True
            )
            known = [(gradient, variable) for gradient, variable in pairs if gradient is not None]
            context = tf.distribute.get_replica_context()
            mean = context.all_reduce(tf.distribute.ReduceOp.MEAN, [gradient for gradient, _ in known])
            model.optimizer.apply_gradients(
                [(gradient, variable) for gradient, (_, variable) in zip(mean, known, strict=True)]
            )
            return context.all_reduce(tf.distribute.ReduceOp.MEAN, loss)

        @tf.function(reduce_retracing=True)
        def whole_step(x: Any, y: Any) -> Any:
            return strategy.experimental_local_results(strategy.run(replica_step, args=(x, y)))[0]

        def rows(value: Any, replica: int) -> Any:
            size = len(value) // here
            return value[(replica - first) * size : (replica - first + 1) * size]

        def divided(value: Any) -> Any:
            if len(value) % here:
                raise UsageError(
                    f"a batch must divide by the {here} replicas", value=len(value), remedy="change batch"
                )
            return strategy.experimental_distribute_values_from_function(
                lambda context: tf.convert_to_tensor(rows(value, context.replica_id_in_sync_group))
            )

        def step(x: Any, y: Any) -> float:
            shared = {key: divided(value) for key, value in x.items()} if isinstance(x, dict) else divided(x)
            return float(whole_step(shared, divided(y)))

        return step


def _averaged_adamw() -> type:
    """AdamW that does not add up its replicas' gradients: they come averaged, and clipping sees the mean."""

    class AveragedAdamW(keras.optimizers.AdamW):
        def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> list[Any]:
            return list(grads_and_vars)

    return AveragedAdamW


def distribution(mode: Mode | None) -> Distribution:
    """Set up what this process takes part in; before anything else of TensorFlow runs.

    Args:
        mode: ``mirrored``: all GPUs of this machine; ``multi-worker``: this and other processes, as TF_CONFIG
            says;
            None: alone.

    Raises:
        UsageError: not the TensorFlow backend, no GPU to mirror on, or TF_CONFIG is missing or malformed.
    """
    if mode is None:
        return ALONE
    if keras.backend.backend() != "tensorflow":
        raise UsageError(
            "distributed training needs TensorFlow",
            value=keras.backend.backend(),
            remedy="KERAS_BACKEND=tensorflow",
        )
    import tensorflow as tf

    if mode == "mirrored":
        if not tf.config.list_physical_devices("GPU"):
            raise UsageError("there is no GPU to mirror on", remedy="leave out --distribute")
        return TensorFlowDistribution(tf.distribute.MirroredStrategy())
    _check_cluster(os.environ.get(CLUSTER_VARIABLE))
    return TensorFlowDistribution(tf.distribute.MultiWorkerMirroredStrategy())


def _check_cluster(text: str | None) -> None:
    """Refuse a TF_CONFIG that TensorFlow would take for a cluster of one. UsageError."""
    example = '{"cluster": {"worker": ["host1:5000", "host2:5000"]}, "task": {"type": "worker", "index": 0}}'
    try:
        value = json.loads(text or "")
        workers, task = value["cluster"]["worker"], value["task"]
        good = isinstance(workers, list) and workers and task["type"] in ("worker", "chief")
        good = good and 0 <= int(task["index"]) < len(workers)
    except (ValueError, KeyError, TypeError):
        good = False
    if not good:
        raise UsageError(
            f"{CLUSTER_VARIABLE} does not name the workers and this one",
            value=text,
            remedy=f"such as {example}",
        )
