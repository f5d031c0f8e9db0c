"""radapter: fine-tune CLIP-like models robustly, and get a plain checkpoint back.

From a folder of images to predictions:

    run = radapter.fit(model="open_clip:ViT-B-16/openai", data={"folder": "photos"}, out="runs/photos")
    run.predict("new-photos")

The pieces for a loop of your own:

    encoder = radapter.load("open_clip:ViT-B-16/openai")
    model = peft.get_peft_model(encoder.module, radapter.RAdapterConfig())
    ema = radapter.Ema(model, decay=0.999)
    loss = radapter.mpm_nce(image_features, text_features, labels, encoder.logit_scale, margin=0.05)
    radapter.export(encoder, to="merged", alpha=0.5)

Importing this package registers its adapters with PEFT, so that `PeftModel.from_pretrained` knows them.
CONTRIBUTING.md lists the packages.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING

from radapter import methods as _methods  # noqa: F401  AdaptFormer and RepAdapter register themselves
from radapter.adapter import Ema, RAdapterConfig, RAdapterModel, set_alpha
from radapter.evaluation import alpha_sweep
from radapter.losses import clip_loss, head_cross_entropy, mpm_nce, mpm_nce_tiled, siglip_loss
from radapter.models import ClassHead, DualEncoder, export, fingerprint, load
from radapter.zeroshot import LinearHead, class_embeddings, templates

if TYPE_CHECKING:
    from radapter.compared import Comparison, compare, open_comparison
    from radapter.run import Run, fit, open_run
    from radapter.training.ema_callback import EmaCallback

__version__ = version("radapter")

__all__ = [
    "ClassHead", "Comparison", "DualEncoder", "Ema", "EmaCallback", "LinearHead", "RAdapterConfig",
    "RAdapterModel", "Run", "__version__", "alpha_sweep", "class_embeddings", "clip_loss", "compare", "export",
    "fingerprint", "fit", "head_cross_entropy", "load", "mpm_nce", "mpm_nce_tiled", "open_comparison", "open_run",
    "set_alpha", "siglip_loss", "templates",
]  # fmt: skip

_ON_FIRST_USE = {
    **dict.fromkeys(("Comparison", "compare", "open_comparison"), "radapter.compared"),
    **dict.fromkeys(("Run", "fit", "open_run"), "radapter.run"),
    "EmaCallback": "radapter.training.ema_callback",
}
"""Name -> the module that is imported when the name is used."""


def __getattr__(name: str) -> object:
    if name not in _ON_FIRST_USE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_ON_FIRST_USE[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
