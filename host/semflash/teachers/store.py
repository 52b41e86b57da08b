"""Reading a teacher store: answers to views of training images, memory-mapped.

    store = TeacherStore.open(folder, dataset)
    images = store.view_images(dataset.train.images[indices], indices, views)
    logits = store.logits(indices, views)

Nothing of the teacher is imported, and nothing is computed but the views.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from semflash.data.dataset import Dataset
from semflash.data.views import VERSION, Mixture, mixed_view, mixture, view
from semflash.errors import TeacherError
from semflash.teachers.answers import Answers, expand
from semflash.teachers.files import answer_files, done_file
from semflash.teachers.manifest import Manifest, data_sha256, load_manifest


class TeacherStore:
    """Answers of a teacher, opened by :meth:`open`.

    Attributes:
        folder: where it lies.
        manifest: what it says of itself.
        views: whole views that can be asked, view 0 included.
    """

    def __init__(self, folder: Path, manifest: Manifest, views: int) -> None:
        self.folder, self.manifest, self.views = folder, manifest, views
        self._index, self._logit, self._rest = (one.open(folder) for one in answer_files(manifest))

    @classmethod
    def open(cls, folder: str | Path, data: Dataset, *, partial: bool = False) -> TeacherStore:
        """Open a store that was made of these images.

        Args:
            partial: take a store that is still being made, with the views that are whole so far.

        Raises:
            TeacherError: no store, a damaged or unfinished one, or it was made of other data, with other
                classes or by another version of the views.
        """
        folder = Path(folder)
        manifest = load_manifest(folder)
        check_data(manifest, data)
        views = manifest.views if manifest.complete else whole_views(folder, manifest)
        if not manifest.complete and not (partial and views):
            raise TeacherError(
                "the teacher store is not finished",
                value=f"{views} of {manifest.views} views are there",
                remedy="give the same `semflash teach` command again: it goes on where it was",
            )
        store = cls(folder, manifest, views)
        if manifest.complete:
            store.check_content()
        return store

    @property
    def answer_shape(self) -> tuple[int, ...]:
        """(classes,)."""
        return (self.classes,)

    @property
    def classes(self) -> int:
        """Classes of an answer."""
        return self.manifest.classes

    @property
    def digest(self) -> str:
        """SHA-256 of all that decides the answers: data, teacher, views and what is kept."""
        return self.manifest.identity

    @property
    def size_bytes(self) -> int:
        """Bytes of the answers of the views that can be asked."""
        return sum(one.row_bytes for one in answer_files(self.manifest)) * self.views

    def logits(self, indices: np.ndarray, views: np.ndarray) -> np.ndarray:
        """Answers to views of training images, less their log-sum-exp.

        Args:
            indices: numbers of images in the training split, (n,).
            views: which view of each, (n,).

        Returns:
            float32 (n, classes).

        Raises:
            TeacherError: there is no such image or view.
        """
        indices = _within(indices, self.manifest.images, "image")
        views = _within(views, self.views, "view")
        if indices.shape != views.shape:
            raise TeacherError("one view goes with each image", value=f"{views.shape}, {indices.shape}")
        answers = Answers(*(part[views, indices] for part in (self._index, self._logit, self._rest)))
        self._check(answers)
        return expand(answers, self.classes)

    def _check(self, answers: Answers) -> None:
        """TeacherError: an answer names a class that there is not, or is no number."""
        finite = np.isfinite(answers.logit).all() and np.isfinite(answers.rest).all()
        if not finite or (answers.index.size and int(answers.index.max()) >= self.classes):
            raise TeacherError(
                "the teacher store holds an answer that is none: "
                + ("it names a class that there is not" if finite else "it is no number"),
                value=self.folder,
                remedy="make the store again: remove its folder, then `semflash teach`",
            )

    def mixture(self, indices: np.ndarray, views: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of each view the number of the image that is mixed into it, int64 (n,), and the share of the image
        itself, float32 (n,)."""
        found = self._mixture(indices, views)
        return found.partners, found.shares

    def _mixture(self, indices: np.ndarray, views: np.ndarray) -> Mixture:
        manifest = self.manifest
        return mixture(indices, views, manifest.view_seed, manifest.images, manifest.view_settings)

    def view_images(
        self, images: np.ndarray, indices: np.ndarray, views: np.ndarray, others: np.ndarray | None = None
    ) -> np.ndarray:
        """The views that were answered: uint8 (n, H, W, C) of the images with these numbers.

        Args:
            others: the images that are mixed into them, of the numbers that :meth:`mixture` gives; None: none
                of the views is a mixture.

        Raises:
            TeacherError: there are mixtures, and the other images are not given.
        """
        seed, how = self.manifest.view_seed, self.manifest.view_settings
        mixed = self._mixture(indices, views)
        if others is not None:
            return mixed_view(images, others, indices, views, seed, mixed, how)
        if (mixed.partners != indices).any():
            raise TeacherError(
                "some views are mixtures",
                value=f"mix {how.mix:g}",
                remedy="give the images of mixture(), too",
            )
        return view(images, indices, views, seed, how)

    def record(self) -> dict[str, Any]:
        """What a bundle keeps of the teacher: plain values."""
        teacher = self.manifest.teacher
        return {
            "name": teacher.name,
            "digest": self.digest,
            "sha256": teacher.sha256,
            "val_accuracy": teacher.val_accuracy,
            "test_accuracy": teacher.test_accuracy,
            "weights_bytes": teacher.weights_bytes,
            "store_bytes": self.size_bytes,
            "views": self.views,
            "ms_per_image": teacher.ms_per_image,
        }

    def check_content(self) -> None:
        """TeacherError: a file is not what was written, or names a class that there is not."""
        for one in answer_files(self.manifest):
            if one.sha256(self.folder) != self.manifest.sha256.get(one.name):
                raise TeacherError(
                    f"the teacher store is damaged: {one.name} is not what was written",
                    value=self.folder,
                    remedy="make the store again: remove its folder, then `semflash teach`",
                )
        if int(self._index.max()) >= self.classes:
            raise TeacherError(
                "the teacher store names a class that there is not",
                value=int(self._index.max()),
                remedy="make the store again: remove its folder, then `semflash teach`",
            )


def check_data(manifest: Manifest, data: Dataset) -> None:
    """Refuse a store of other data, other classes or other views.

    Raises:
        TeacherError: what differs is named.
    """
    again = f"semflash teach {data.name}, or name the data set that the store was made of"
    if manifest.view_version != VERSION:
        raise TeacherError(
            "the teacher answered views of another version than this one makes",
            value=f"version {manifest.view_version}, not {VERSION}",
            remedy=again,
        )
    if manifest.classes != len(data.class_names):
        raise TeacherError(
            "the teacher store has another number of classes than the data set",
            value=f"{manifest.classes}, and {len(data.class_names)} of {data.name}",
            remedy=again,
        )
    if manifest.data_sha256 != data_sha256(data):
        raise TeacherError(
            "the teacher store was made of other images",
            value=f"{manifest.data_name} {manifest.data_sha256[:16]}, not this {data.name}",
            remedy=again,
        )
    if (manifest.images, manifest.image_shape) != (len(data.train), data.image_shape):
        raise TeacherError(
            "the teacher store says another number or size of images than it was made of",
            value=f"{manifest.images} of {manifest.image_shape}",
            remedy=again,
        )


def check_teacher(manifest: Manifest, identity: str, name: str) -> None:
    """TeacherError: the store is another teacher's, or of other settings."""
    if manifest.identity != identity:
        raise TeacherError(
            "the folder holds the answers of another teacher or of other settings",
            value=f"{manifest.teacher.name} {manifest.identity[:16]}, not {name} {identity[:16]}",
            remedy="another --out, or none: each teacher and setting has a folder of its own",
        )


def whole_views(folder: Path, manifest: Manifest) -> int:
    """How many views from the first on are there in full."""
    done = done_file(manifest).open(folder)
    whole = [bool(np.all(row == 1)) for row in done]
    return whole.index(False) if False in whole else len(whole)


def content_sha256(folder: Path, manifest: Manifest) -> dict[str, str]:
    """SHA-256 of each file of answers."""
    return {one.name: one.sha256(folder) for one in answer_files(manifest)}


def cache_dir() -> Path:
    """Where stores lie: ``$XDG_CACHE_HOME/semflash/teachers``, or under ``~/.cache``."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "semflash" / "teachers"


def find_store(name_or_folder: str | Path, data: Dataset, *, partial: bool = False) -> TeacherStore:
    """A store by its folder, or by the name of its teacher in the cache.

    Raises:
        TeacherError: none fits (what was made of other data is told), several do, or as
            :meth:`TeacherStore.open`.
    """
    if Path(name_or_folder).is_dir():
        return TeacherStore.open(name_or_folder, data, partial=partial)
    found = [folder for folder in stores() if load_manifest(folder).teacher.name == str(name_or_folder)]
    digest = data_sha256(data)
    fitting = [folder for folder in found if load_manifest(folder).data_sha256 == digest]
    if len(fitting) == 1:
        return TeacherStore.open(fitting[0], data, partial=partial)
    if fitting:
        raise TeacherError(
            "several stores of this teacher and these images",
            value=", ".join(str(folder) for folder in fitting),
            remedy="name the folder of one",
        )
    others = sorted({load_manifest(folder).data_name for folder in found})
    told = f"; there are those of {', '.join(others)}" if others else ""
    raise TeacherError(
        f"no stored answers of this teacher to images of {data.name}{told}",
        value=name_or_folder,
        remedy=f"semflash teach {data.name} --teacher {name_or_folder}",
    )


def stores() -> list[Path]:
    """Folders of the cache that hold a store whose manifest can be read."""
    place = cache_dir()
    if not place.is_dir():
        return []
    return [folder for folder in sorted(place.iterdir()) if _readable(folder)]


def _readable(folder: Path) -> bool:
    try:
        load_manifest(folder)
    except TeacherError:
        return False
    return True


def _within(numbers: np.ndarray, limit: int, what: str) -> np.ndarray:
    numbers = np.asarray(numbers)
    if numbers.ndim != 1 or numbers.dtype.kind not in "iu":
        raise TeacherError(f"{what} numbers are whole numbers (n,)", value=f"{numbers.dtype} {numbers.shape}")
    if len(numbers) and not 0 <= int(numbers.min()) <= int(numbers.max()) < limit:
        raise TeacherError(
            f"the teacher store has {what} numbers 0 to {limit - 1}",
            value=f"{numbers.min()}..{numbers.max()}",
            remedy="fewer views, or `semflash teach` with more",
        )
    return numbers
