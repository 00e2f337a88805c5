"""Datasets for notebooks: a folder on disk, with the size, the split and the loading of its images.

Each class is a `LightningDataModule`, so that it also works with Lightning's own trainer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

from adframe.data import btad, folder, mvtec_ad, mvtec_ad2, mvtec_loco, toy_source, visa
from adframe.data.base import Source
from adframe.data.datamodule import AnomalyData
from adframe.data.dataset import View
from adframe.data.splits import Holdout
from adframe.transforms.synthesis.synthesis import Synthesis


class ImageData(AnomalyData):
    """The images of a dataset.

    Args:
        source: the dataset on disk; `adframe.MVTecAD` and the other classes of this module build it.
        category: `all`, one name, or several names.
        image_size: the input size of the network in pixels: a side, (height, width), or None for the size of
            each image.
        keep_aspect: whether the image is fitted in and padded with its edge pixels instead of being
            stretched.
        batch_size: images per batch.
        num_workers: number of loading processes; 0 loads in the main process.
        holdout: share of the training images, in (0, 1), that is held out for calibration where the dataset
            has no validation split.
        seed: of that split.
        synthesis: makes synthetic anomalies, for methods that learn from them; None for none.

    Raises:
        AdframeError: the folder has another layout, or a category is unknown.

    Example:
        >>> data = ImageData(toy_source.Toy(root=Path("toy")), category="weave", image_size=64)
        >>> data.setup()
        >>> next(iter(data.train_dataloader()))["image"].shape
        torch.Size([8, 3, 64, 64])
    """

    def __init__(
        self,
        source: Source,
        *,
        category: str | Sequence[str] = "all",
        image_size: int | tuple[int, int] | None = 256,
        keep_aspect: bool = False,
        batch_size: int = 8,
        num_workers: int = 0,
        holdout: float = 0.2,
        seed: int = 42,
        synthesis: Synthesis | None = None,
    ) -> None:
        source.prepare(category)
        size = (image_size, image_size) if isinstance(image_size, int) else image_size
        super().__init__(
            source,
            categories=source.choose(category),
            view=View(size=size, keep_aspect=keep_aspect, preprocess=source.preprocess),
            batch_size=batch_size,
            num_workers=num_workers,
            protocol=Holdout(share=holdout),
            seed=seed,
            synthesis=synthesis,
        )


class OnDisk(ImageData):
    """A dataset in the layout of its publisher; subclasses name the layout.

    Args:
        root: the folder with one folder per category.
        category: `all`, one name, or several names.
        image_size: the input size of the network in pixels: a side, (height, width), or None for the size of
            each image.
        keep_aspect: whether the image is fitted in and padded with its edge pixels instead of being
            stretched.
        batch_size: images per batch.
        num_workers: number of loading processes; 0 loads in the main process.
        holdout: share of the training images, in (0, 1), that is held out for calibration where the dataset
            has no validation split.
        seed: of that split.

    Raises:
        AdframeError: the folder has another layout, or a category is unknown.

    Example:
        >>> data = Toy("toy", category="weave")
        >>> isinstance(data, OnDisk), list(data.categories)
        (True, ['weave'])
    """

    reads: ClassVar[Callable[..., Source]]  # the class that reads the layout

    def __init__(
        self,
        root: str | Path,
        *,
        category: str | Sequence[str] = "all",
        image_size: int | tuple[int, int] | None = 256,
        keep_aspect: bool = False,
        batch_size: int = 8,
        num_workers: int = 0,
        holdout: float = 0.2,
        seed: int = 42,
    ) -> None:
        super().__init__(
            type(self).reads(root=Path(root)),
            category=category,
            image_size=image_size,
            keep_aspect=keep_aspect,
            batch_size=batch_size,
            num_workers=num_workers,
            holdout=holdout,
            seed=seed,
        )


class MVTecAD(OnDisk):
    """MVTec AD (Bergmann et al., IJCV 2021): `<category>/{train/good, test/<defect>, ground_truth/<defect>}`.

    Example:
        >>> data = MVTecAD("data/mvtec_ad", category="screw")  # doctest: +SKIP
    """

    reads = mvtec_ad.MvtecAd


class MVTecLOCO(OnDisk):
    """MVTec LOCO AD (Bergmann et al., IJCV 2022): logical and structural anomalies, with a validation split.

    Example:
        >>> data = MVTecLOCO("data/mvtec_loco", category="juice_bottle")  # doctest: +SKIP
    """

    reads = mvtec_loco.MvtecLoco


class MVTecAD2(OnDisk):
    """MVTec AD 2 (Heckler-Kram et al., arXiv 2503.21622): the public test set, with lighting conditions.

    Example:
        >>> data = MVTecAD2("data/mvtec_ad2", category="can")  # doctest: +SKIP
    """

    reads = mvtec_ad2.MvtecAd2


class VisA(OnDisk):
    """VisA (Zou et al., ECCV 2022), as published or converted to the layout of MVTec AD.

    Example:
        >>> data = VisA("data/visa", category="pcb1")  # doctest: +SKIP
    """

    reads = visa.Visa


class BTAD(OnDisk):
    """BTAD (Mishra et al., ISIE 2021): `<product>/{train/ok, test/{ok,ko}, ground_truth/ko}`.

    Example:
        >>> data = BTAD("data/btad", category="01")  # doctest: +SKIP
    """

    reads = btad.Btad


class Toy(OnDisk):
    """Three synthetic categories, which are drawn into the folder when it is empty.

    Example:
        >>> data = Toy("toy", category="weave")
        >>> list(data.categories)
        ['weave']
    """

    reads = toy_source.Toy


class Folder(ImageData):
    """Your own images of one category.

    Args:
        root: the folder below which all places lie.
        normal: normal images for training: a folder below `root`, a glob, or a list of them.
        abnormal: defective images for testing; the folder of an image names its type of defect. None for
            none.
        normal_test: normal images for testing; None takes a share of `normal`.
        masks: annotations of the defective images, by relative path and name; None: pixels are not measured.
        image_size: the input size of the network in pixels: a side, (height, width), or None for the size of
            each image.
        keep_aspect: whether the image is fitted in and padded with its edge pixels instead of being
            stretched.
        batch_size: images per batch.
        num_workers: number of loading processes; 0 loads in the main process.
        holdout: share of the training images, in (0, 1), that is held out for calibration.
        seed: of that split, and of the choice of normal images for testing.

    Raises:
        AdframeError: a place has no images.

    Example:
        >>> data = Folder("my/images", normal="good", abnormal="bad", masks="masks")  # doctest: +SKIP
    """

    def __init__(
        self,
        root: str | Path,
        *,
        normal: str | Sequence[str] = "good",
        abnormal: str | Sequence[str] | None = None,
        normal_test: str | Sequence[str] | None = None,
        masks: str | None = None,
        image_size: int | tuple[int, int] | None = 256,
        keep_aspect: bool = False,
        batch_size: int = 8,
        num_workers: int = 0,
        holdout: float = 0.2,
        seed: int = 42,
    ) -> None:
        places = folder.Folder(
            root=Path(root), normal=normal, abnormal=abnormal, normal_test=normal_test, masks=masks, seed=seed
        )
        super().__init__(
            places,
            image_size=image_size,
            keep_aspect=keep_aspect,
            batch_size=batch_size,
            num_workers=num_workers,
            holdout=holdout,
            seed=seed,
        )
