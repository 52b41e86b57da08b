"""Edge side of the codec: payload bits -> centres -> decoder(latent, quality) -> task tail -> logits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semflash.bundle.graphs.edge import check_edge
from semflash.bundle.models import check_decoder, output_shape
from semflash.bundle.packing import unpack
from semflash.bundle.reader import Bundle
from semflash.channels.bits import check_rates
from semflash.edge.first_run import admit
from semflash.errors import BundleError
from semflash.runtime.litert import load_interpreter, single

#: Payloads decoded in one invocation, and numbers in their images or outputs; bounds the memory it takes.
BATCH = 256
BATCH_VALUES = 12 << 20
#: The same for any tensor between the graphs' layers.
BATCH_INNER_VALUES = 64 << 20


class EdgeDecoder:
    """Decodes payloads of one bundle with LiteRT (float32 on the CPU, no TensorFlow).

    Not thread-safe: one decoder per thread.

    Args:
        bundle: a checked bundle; one of unknown origin is tried in a child first (edge/first_run.py).
        threads: CPU threads of the interpreters.
        admitted: this is that child.

    Raises:
        BundleError: decoder or task tail do not fit the contract, hold what no export makes, or do not
            survive their first run.
        ModelError: LiteRT cannot load them. ToolMissingError: LiteRT is not installed.
    """

    def __init__(self, bundle: Bundle, *, threads: int = 1, admitted: bool = False) -> None:
        self._bundle = bundle
        self._largest = check_edge(bundle.contract, bundle.decoder_tflite, bundle.tail_tflite)
        if not admitted:
            admit(bundle)
        self._centres = np.asarray(bundle.contract.centres, np.float32)
        self._decoder = load_interpreter(bundle.decoder_tflite, bundle.contract.decoder.file, threads=threads)
        self._tail = load_interpreter(bundle.tail_tflite, bundle.contract.task_tail.file, threads=threads)
        self._latent_index, self._quality_index = check_decoder(self._decoder, bundle.contract)
        self._batch = 0
        self._resize(1)
        self._check_logits()

    def features(self, payloads: NDArray[np.uint8], ber: ArrayLike) -> NDArray[np.float32]:
        """Reconstructed features of the task network's split point.

        Args and errors: as :meth:`logits`.

        Returns:
            float32 (N, ...), the decoder's output.
        """
        return self._run(payloads, ber, tail=False)

    def logits(self, payloads: NDArray[np.uint8], ber: ArrayLike) -> NDArray[np.float32]:
        """Class scores of received payloads.

        Args:
            payloads: uint8 (N, P), damaged bits and all.
            ber: estimate of the bit error rate, 0..0.5; one number or (N,).

        Returns:
            float32 (N, classes), or a detector's maps (N, h, w, classes + 4) or boxes
            (N, anchors, 4 + classes).

        Raises:
            BundleError: payloads of the wrong size. UsageError: a BER out of range.
        """
        return self._run(payloads, ber, tail=True)

    def classify(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Class scores of features of the split point, float32 (N, ...); returns as :meth:`logits`."""
        parts = []
        for start in range(0, len(features), self._most):
            part = features[start : start + self._most]
            self._resize(len(part))
            parts.append(self._outputs_of(np.ascontiguousarray(part, np.float32)))
        return np.concatenate(parts) if parts else np.empty((0, *self._outputs), np.float32)

    def _run(self, payloads: NDArray[np.uint8], ber: ArrayLike, *, tail: bool) -> NDArray[np.float32]:
        latents = self._latents(payloads)
        quality = check_rates(ber, len(latents)).astype(np.float32)
        parts = []
        for start in range(0, len(latents), self._most):
            part = slice(start, min(start + self._most, len(latents)))
            parts.append(self._invoke(latents[part], quality[part, None], tail=tail))
        return np.concatenate(parts) if parts else np.empty((0, *self._outputs), np.float32)

    def _latents(self, payloads: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Centre values (N, h, w, c); a code beyond the last centre (levels < 2^bits) takes the last."""
        payload = self._bundle.contract.payload
        codes = unpack(payloads, payload.bits_per_symbol, payload.symbols)
        values = self._centres[np.minimum(codes, len(self._centres) - 1)]
        return values.reshape(-1, *self._bundle.latent_shape)

    def _invoke(self, latents: NDArray[Any], quality: NDArray[Any], *, tail: bool) -> NDArray[np.float32]:
        self._resize(len(latents))
        self._decoder.set_tensor(self._latent_index, np.ascontiguousarray(latents))
        self._decoder.set_tensor(self._quality_index, np.ascontiguousarray(quality))
        features = self._run_graph(self._decoder, self._features_index, self._bundle.contract.decoder.file)
        return self._outputs_of(features) if tail else features

    def _outputs_of(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        self._tail.set_tensor(self._tail_input, features)
        return self._run_graph(self._tail, self._logits_index, self._bundle.contract.task_tail.file)

    @staticmethod
    def _run_graph(interpreter: Any, output: int, name: str) -> NDArray[np.float32]:
        try:
            interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise BundleError(
                f"{name} does not run", value=error, remedy="export the bundle again"
            ) from error
        values: NDArray[np.float32] = interpreter.get_tensor(output)
        if not np.isfinite(values).all():
            raise BundleError(
                f"{name} gives numbers that are not finite",
                remedy="export the bundle again, or look for a diverged run",
            )
        return values

    def _resize(self, batch: int) -> None:
        if batch == self._batch:
            return
        decoder, tail, name = self._decoder, self._tail, self._bundle.contract.task_tail.file
        try:
            decoder.resize_tensor_input(self._latent_index, [batch, *self._bundle.latent_shape], strict=True)
            decoder.resize_tensor_input(self._quality_index, [batch, 1], strict=True)
            decoder.allocate_tensors()
            output = single(decoder.get_output_details(), self._bundle.contract.decoder.file)
            source = single(tail.get_input_details(), name)
            features = [batch, *(int(v) for v in output["shape"][1:])]  # the first dimension lags behind
            tail.resize_tensor_input(source["index"], features, strict=True)
            tail.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise BundleError(
                "decoder and task tail do not fit each other or a batch",
                value=error,
                remedy="export the bundle again",
            ) from error
        self._features_index = int(output["index"])
        self._tail_input = int(source["index"])
        self._logits_index = int(single(tail.get_output_details(), name)["index"])
        self._batch = batch

    def _check_logits(self) -> None:
        shape = tuple(int(v) for v in self._tail.get_output_details()[0]["shape"])
        contract = self._bundle.contract
        self._outputs, image = output_shape(contract), contract.input
        largest = max(math.prod(self._outputs), image.height * image.width * image.channels)
        self._most = max(1, min(BATCH, BATCH_VALUES // largest, BATCH_INNER_VALUES // self._largest))
        if shape != (1, *self._outputs):
            raise BundleError(
                "task tail and contract disagree about the output",
                value=f"{shape}, expected {(1, *self._outputs)}",
                remedy="export the bundle again",
            )
